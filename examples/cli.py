"""Train on scikit-learn's handwritten digits from the command line; the monitor and the gate come from a YAML file.

python examples/cli.py fit --config examples/config.yaml
"""

import warnings

import lightning.pytorch as pl
import torch
from lightning.pytorch.cli import LightningCLI
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset


class Digits(pl.LightningDataModule):
    """1,797 scans of 8x8 pixels in [0, 1].

    Args:
        batch_size: Images in a batch.
    """

    def __init__(self, batch_size: int = 64) -> None:
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:
        """Split into training and validation."""
        scans, labels = load_digits(return_X_y=True)
        images = torch.tensor(scans, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
        data = TensorDataset(images, torch.tensor(labels))
        self.train, self.val = torch.utils.data.random_split(data, [0.8, 0.2], torch.Generator().manual_seed(0))

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Shuffled training images."""
        return DataLoader(self.train, self.batch_size, shuffle=True, drop_last=True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Validation images."""
        return DataLoader(self.val, 256)


class SmallNetwork(pl.LightningModule):
    """Two convolutions and a linear layer.

    Args:
        width: Number of features.
        learning_rate: Learning rate of AdamW.
    """

    def __init__(self, width: int = 32, learning_rate: float = 3e-3) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.network = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, 10),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, 10)."""
        logits: Tensor = self.network(images)
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Cross-entropy."""
        images, labels = batch
        return functional.cross_entropy(self(images), labels)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Accuracy."""
        images, labels = batch
        self.log("val_accuracy", (self(images).argmax(dim=1) == labels).float().mean(), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW."""
        return torch.optim.AdamW(self.parameters(), self.learning_rate)


def main(args: list[str] | None = None) -> LightningCLI:
    """Run the command line."""
    for noise in ("does not have many workers", "LeafSpec"):
        warnings.filterwarnings("ignore", message=f".*{noise}.*")
    return LightningCLI(SmallNetwork, Digits, args=args)


if __name__ == "__main__":
    main()
