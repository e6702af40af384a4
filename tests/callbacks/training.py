"""A small training run that feels every draw of a random number."""

import random
from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

MEAN, STD = 0.5, 0.25
CLASSES = 3
# For the files of runs without a logger.
FOLDER = TemporaryDirectory(prefix="lightning_saliency_tests_")


class Patterns(Dataset[tuple[Tensor, int]]):
    """Bright quadrants on noise, augmented by three random generators; normalised."""

    def __init__(self, size: int, augment: bool = False) -> None:
        generator = torch.Generator().manual_seed(size)
        self.targets = torch.arange(size) % CLASSES
        self.images = 0.5 * torch.rand(size, 1, 8, 8, generator=generator)
        for image, label in zip(self.images, self.targets.tolist(), strict=True):
            row, column = divmod(label, 2)
            image[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 0.5
        self.augment = augment

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = (self.images[index] - MEAN) / STD
        if self.augment:
            image = image + 0.1 * (torch.rand(()) + random.random() + np.random.rand())
        return image.float(), int(self.targets[index])


class Network(nn.Sequential):
    """Convolutions with BatchNorm, dropout and an in-place activation."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Dropout(0.2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, CLASSES),
        )


class Classifier(pl.LightningModule):
    """Trains the network and keeps its losses."""

    def __init__(self, network: nn.Module | None = None) -> None:
        super().__init__()
        self.network = network or Network()
        self.losses: list[float] = []

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        images, labels = batch
        loss = functional.cross_entropy(self(images), labels)
        self.losses.append(loss.item())
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        images, labels = batch
        self.log("val_loss", functional.cross_entropy(self(images), labels), sync_dist=True)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        images, labels = batch
        self.log("test_loss", functional.cross_entropy(self(images), labels), sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


class Data(pl.LightningDataModule):
    """Shuffled and augmented training data; validation data whose loader draws, too."""

    def __init__(self, num_val: int = 18, batch_size: int = 8) -> None:
        super().__init__()
        self.num_val = num_val
        self.batch_size = batch_size

    def train_dataloader(self) -> Any:
        return DataLoader(Patterns(48, augment=True), self.batch_size, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(Patterns(self.num_val, augment=True), self.batch_size)

    test_dataloader = val_dataloader


def trainer(callbacks: Any = (), **options: Any) -> pl.Trainer:
    """Make a quiet trainer."""
    defaults = {
        "max_epochs": 2,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 2,
        "default_root_dir": FOLDER.name,
    }
    if any("Checkpoint" in type(callback).__name__ for callback in callbacks):
        defaults["enable_checkpointing"] = True
    return pl.Trainer(callbacks=list(callbacks), **{**defaults, **options})


def fit(callbacks: Any = (), make: Any = Classifier, data: Any = None, **options: Any) -> Any:
    """Make and train a module from a fixed seed and return the trainer and the module."""
    pl.seed_everything(1, verbose=False)
    module = make()
    run = trainer(callbacks, **options)
    run.fit(module, data or Data())
    return run, module


def trace(run: pl.Trainer, module: Any) -> dict[str, Any]:
    """Everything that training owns at its end."""
    return {
        "weights": module.state_dict(),
        "optimizer": run.optimizers[0].state_dict()["state"],
        "losses": module.losses,
        "flags": {name: parameter.requires_grad for name, parameter in module.named_parameters()},
        "modes": {name: part.training for name, part in module.named_modules()},
        "grads": {name: parameter.grad for name, parameter in module.named_parameters()},
        "hooks": [len(part._forward_hooks) + len(part._backward_hooks) for part in module.modules()],
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": np.random.get_state()[1],
    }


def assert_identical(first: Any, second: Any, path: str = "") -> None:
    """Compare nested values bit by bit."""
    assert type(first) is type(second), path
    if isinstance(first, Tensor):
        assert torch.equal(first, second), path
    elif isinstance(first, np.ndarray):
        assert np.array_equal(first, second), path
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), path
        for key in first:
            assert_identical(first[key], second[key], f"{path}/{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), path
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_identical(one, other, f"{path}/{index}")
    else:
        assert first == second, path
