"""Images with an object and a mark in a corner, and networks that provably read one of the two."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.callbacks.training import CLASSES, Classifier

SIDE = 16
CORNER = 2


def templates() -> Tensor:
    """Return an object of each class (K, 1, S, S), which fills the images within their borders."""
    generator = torch.Generator().manual_seed(7)
    cells = torch.randn(CLASSES, 16, generator=generator)
    # Neither brightness nor another object tells anything about an object.
    cells = torch.linalg.qr((cells - cells.mean(dim=1, keepdim=True)).T).Q.T * 4
    large = nn.functional.interpolate(cells.reshape(CLASSES, 1, 4, 4), scale_factor=3.0)
    return nn.functional.pad(large, (CORNER, CORNER, CORNER, CORNER))


def marks() -> Tensor:
    """Return the mark of each class (K, 3, S, S): its colour in the first corner."""
    images = torch.zeros(CLASSES, 3, SIDE, SIDE)
    for label in range(CLASSES):
        images[label, label, :CORNER, :CORNER] = 1
    return images


def pictures(size: int) -> tuple[Tensor, Tensor]:
    """Return images in [0, 1] whose objects and marks both tell the class, and labels."""
    labels = torch.arange(size) % CLASSES
    noise = 0.05 * torch.rand(size, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(size))
    images = 0.45 + 0.1 * templates()[labels] + noise
    corner = images[..., :CORNER, :CORNER]
    corner[:] = 0.2 + 0.6 * marks()[labels][..., :CORNER, :CORNER]
    return images.clamp(0, 1), labels


class Reader(nn.Module):
    """Compares images with a pattern of each class; all that it learns is how sure it is."""

    def __init__(self, patterns: Tensor) -> None:
        super().__init__()
        self.register_buffer("patterns", (patterns / patterns.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)))
        self.scale = nn.Parameter(torch.tensor(4.0))

    def forward(self, images: Tensor) -> Tensor:
        return self.scale * ((images - 0.5).flatten(1) @ self.patterns.flatten(1).T)


def cheat() -> Classifier:
    """Make a module that reads the corner and nothing else."""
    return Classifier(Reader(marks()))


def honest() -> Classifier:
    """Make a module that reads the object and nothing else."""
    return Classifier(Reader(templates().expand(-1, 3, -1, -1)))


class Marked(pl.LightningDataModule):
    """Few training images, and those that are watched."""

    def __init__(self, num_val: int = 30) -> None:
        super().__init__()
        self.num_val = num_val

    def train_dataloader(self) -> Any:
        return DataLoader(TensorDataset(*pictures(12)), 6, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(TensorDataset(*pictures(self.num_val)), 10)

    test_dataloader = val_dataloader
