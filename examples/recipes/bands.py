"""Satellite images of thirteen bands in dictionaries, as torchgeo has them.

python examples/recipes/bands.py
"""

from typing import Any

import timm
import torch
from task import Task, fit
from torch import Tensor, nn
from torch.nn import functional

from lightning_saliency import SaliencyMonitor

ITEMS = [{"image": torch.randn(13, 32, 32), "label": index % 3} for index in range(4)]


def loss(network: nn.Module, batch: Any) -> Tensor:
    """Cross-entropy."""
    return functional.cross_entropy(network(batch["image"]), batch["label"])


def task() -> Task:
    """Make a small ResNet for thirteen channels."""
    return Task(timm.create_model("resnet10t", in_chans=13, num_classes=3), loss)


def monitor() -> SaliencyMonitor:
    """Explain the labels, and show the bands of red, green and blue."""
    return SaliencyMonitor(
        mean=0.5,
        std=0.25,
        display=(3, 2, 1),
    )


if __name__ == "__main__":
    fit(task(), ITEMS, monitor())  # type: ignore[arg-type]
