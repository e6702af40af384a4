"""A loop of Fabric, which has no callbacks: `evaluate` does in it what the monitor does.

python examples/recipes/fabric.py
"""

from typing import Any

import timm
import torch
from lightning.fabric import Fabric
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from lightning_saliency import Evaluation, evaluate

ITEMS = TensorDataset(torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 0, 1]))


def train(*, watched: bool = True) -> tuple[Any, Any, list[Evaluation]]:
    """Train for an epoch, and return the network, its optimizer and the evaluations."""
    fabric = Fabric(accelerator="cpu")
    network = timm.create_model("resnet10t", num_classes=2)
    model, optimizer = fabric.setup(network, torch.optim.AdamW(network.parameters(), 1e-4))
    loader = fabric.setup_dataloaders(DataLoader(ITEMS, 2, shuffle=True))
    for images, labels in loader:
        optimizer.zero_grad()
        fabric.backward(functional.cross_entropy(model(images), labels))
        optimizer.step()
    return network, optimizer, [evaluate(model, DataLoader(ITEMS, 2))] if watched else []


if __name__ == "__main__":
    print(train()[2][0].summary())
