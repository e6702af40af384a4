"""A network of an image and a row of a table.

python examples/recipes/tabular.py
"""

from typing import Any

import torch
from task import Task, fit
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from lightning_saliency import SaliencyMonitor

ITEMS = TensorDataset(torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 0, 1]), torch.rand(4, 5))


class ImageAndRow(nn.Module):
    """Adds the logits of an image and those of a row."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.1))
        self.of_image, self.of_row = nn.Linear(8, 2), nn.Linear(5, 2)

    def forward(self, images: Tensor, rows: Tensor) -> Tensor:
        """Return logits (B, 2)."""
        logits: Tensor = self.of_image(self.features(images).mean(dim=(2, 3))) + self.of_row(rows)
        return logits


def loss(network: nn.Module, batch: Any) -> Tensor:
    """Cross-entropy."""
    images, labels, rows = batch
    return functional.cross_entropy(network(images, rows), labels)


def task() -> Task:
    """Make the network."""
    return Task(ImageAndRow(), loss)


def monitor() -> SaliencyMonitor:
    """Explain the labels by the image: the row of the table goes along with it."""
    return SaliencyMonitor(
        batch=lambda batch: (batch[0], batch[1], None, batch[2]),
    )


if __name__ == "__main__":
    fit(task(), ITEMS, monitor())
