"""A network whose images have several labels.

python examples/recipes/multi_label.py
"""

from typing import Any

import timm
import torch
from task import Task, fit
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from lightning_saliency import SaliencyMonitor
from lightning_saliency.targets import MultiLabel

ITEMS = TensorDataset(torch.rand(4, 3, 32, 32), torch.tensor([[1.0, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 1]]))


def loss(network: nn.Module, batch: Any) -> Tensor:
    """Cross-entropy of each label by itself."""
    images, labels = batch
    return functional.binary_cross_entropy_with_logits(network(images), labels)


def task() -> Task:
    """Make a small ResNet for three labels."""
    return Task(timm.create_model("resnet10t", num_classes=3), loss)


def monitor() -> SaliencyMonitor:
    """Explain all labels of an image together."""
    return SaliencyMonitor(target=MultiLabel())


if __name__ == "__main__":
    fit(task(), ITEMS, monitor())
