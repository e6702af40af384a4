"""A 3-D network of MONAI: strips show the slices with most relevance.

python examples/recipes/volumes.py
"""

from typing import Any

import torch
from monai.networks.nets import resnet10
from task import Task, fit
from torch import Tensor, nn
from torch.nn import functional

from lightning_saliency import SaliencyMonitor

ITEMS = [{"image": torch.rand(1, 16, 32, 32), "label": index % 2} for index in range(4)]


def loss(network: nn.Module, batch: Any) -> Tensor:
    """Cross-entropy."""
    return functional.cross_entropy(network(batch["image"]), batch["label"])


def task() -> Task:
    """Make a small ResNet for one channel and two classes."""
    return Task(resnet10(spatial_dims=3, n_input_channels=1, num_classes=2), loss)


def monitor() -> SaliencyMonitor:
    """Explain the labels: nothing has to be told."""
    return SaliencyMonitor()


if __name__ == "__main__":
    fit(task(), ITEMS, monitor())  # type: ignore[arg-type]
