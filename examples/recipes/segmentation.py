"""A segmentation of torchvision: what lets the network find the region of a class?

python examples/recipes/segmentation.py
"""

from typing import Any

import torch
from task import Task, fit
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset
from torchvision.models.segmentation import lraspp_mobilenet_v3_large as segmenter

from lightning_saliency import SaliencyMonitor
from lightning_saliency.targets import Region

ITEMS = TensorDataset(torch.rand(4, 3, 64, 64), torch.randint(0, 3, (4, 64, 64)))


def loss(network: nn.Module, batch: Any) -> Tensor:
    """Cross-entropy of all pixels."""
    images, labels = batch
    return functional.cross_entropy(network(images)["out"], labels)


def task() -> Task:
    """Make the network for three classes."""
    return Task(segmenter(weights=None, weights_backbone=None, num_classes=3), loss)


def monitor() -> SaliencyMonitor:
    """Explain class 1 where the labels have it."""
    return SaliencyMonitor(
        output="out",
        target=lambda output, labels: Region(1, labels == 1),
    )


if __name__ == "__main__":
    fit(task(), ITEMS, monitor())
