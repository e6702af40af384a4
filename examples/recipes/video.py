"""A 3-D ResNet of torchvision for video: strips show the frames with most relevance.

python examples/recipes/video.py
"""

from typing import Any

import torch
from task import Task, fit
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset
from torchvision.models.video import mc3_18

from lightning_saliency import SaliencyMonitor

ITEMS = TensorDataset(torch.rand(4, 3, 8, 32, 32), torch.tensor([0, 1, 2, 0]))


def loss(network: nn.Module, batch: Any) -> Tensor:
    """Cross-entropy."""
    images, labels = batch
    return functional.cross_entropy(network(images), labels)


def task() -> Task:
    """Make the network for three actions."""
    return Task(mc3_18(num_classes=3), loss)


def monitor() -> SaliencyMonitor:
    """Explain the labels: nothing has to be told."""
    return SaliencyMonitor()


if __name__ == "__main__":
    fit(task(), ITEMS, monitor())
