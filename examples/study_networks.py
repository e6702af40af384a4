"""Five kinds of small networks, and their training on the digits on textured canvases."""

from typing import Any, NamedTuple

import timm
import torch
from textured_digits import TexturedDigits
from torch import Tensor, nn
from torch.nn import functional

BATCH_SIZE = 64


class Recipe(NamedTuple):
    """Construction and training of a network.

    Attributes:
        options: Arguments of timm.
        epochs: Number of epochs.
        learning_rate: Highest learning rate.
        earlier: A layer one stage before the last.
        centred: Whether colours in [0, 1] are first mapped to [-1, 1], without which some networks do not learn.
    """

    options: dict[str, Any]
    epochs: int
    learning_rate: float
    earlier: str
    centred: bool = False


class Centred(nn.Module):
    """A network for colours in [0, 1], made from one for colours in [-1, 1]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K)."""
        logits: Tensor = self.network(2 * images - 1)
        return logits


NETWORKS = {
    "resnet10t": Recipe({"output_stride": 8}, 5, 2e-3, "layer3"),
    "mobilenetv2_050": Recipe({"output_stride": 8}, 8, 3e-3, "blocks.5"),
    "vgg11_bn": Recipe({"mlp_ratio": 1 / 16}, 4, 1e-3, "features.20"),
    "convnext_atto": Recipe({"patch_size": 2}, 12, 1.5e-3, "stages.2", centred=True),
    "vit_tiny_r_s16_p8_224": Recipe({"img_size": 48, "patch_size": 2, "depth": 4}, 9, 1e-3, "blocks.2.norm1"),
}


def build(name: str) -> nn.Module:
    """Return a network with random weights."""
    recipe = NETWORKS[name]
    network: nn.Module = timm.create_model(name, num_classes=10, **recipe.options)
    return Centred(network) if recipe.centred else network


def train(name: str, data: TexturedDigits, epochs: int | None) -> nn.Module:
    """Train a network from scratch."""
    recipe = NETWORKS[name]
    epochs = recipe.epochs if epochs is None else epochs
    torch.manual_seed(0)
    # Faster on CPUs, and equal up to rounding.
    layout = torch.channels_last
    network = build(name).to(memory_format=layout)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    steps = epochs * (len(data.labels) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps, pct_start=0.15)
    for _ in range(epochs):
        order = torch.randperm(len(data.labels))
        for batch in order.split(BATCH_SIZE):
            if len(batch) < BATCH_SIZE:
                continue
            optimizer.zero_grad()
            images = data.images[batch].to(memory_format=layout)
            functional.cross_entropy(network(images), data.labels[batch]).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return network.to(memory_format=torch.contiguous_format).eval()


@torch.no_grad()
def accuracy(network: nn.Module, data: TexturedDigits) -> float:
    """Share of images that are classified correctly."""
    predicted = torch.cat([network(images).argmax(dim=1) for images in data.images.split(256)])
    return (predicted == data.labels).float().mean().item()
