"""A network that predicts a number, with metrics in its unit.

python examples/recipes/regression.py
"""

from typing import Any

import timm
import torch
from task import Task, fit
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from lightning_saliency import SaliencyMonitor
from lightning_saliency.targets import Regression

ITEMS = TensorDataset(torch.rand(4, 3, 32, 32), torch.rand(4, 1))


def loss(network: nn.Module, batch: Any) -> Tensor:
    """Mean squared error."""
    images, labels = batch
    return functional.mse_loss(network(images), labels)


def task() -> Task:
    """Make a small ResNet for one number."""
    return Task(timm.create_model("resnet10t", num_classes=1), loss)


def monitor() -> SaliencyMonitor:
    """Explain the number."""
    return SaliencyMonitor(target=Regression())


if __name__ == "__main__":
    fit(task(), ITEMS, monitor())
