"""Train on CIFAR-10, or any image folder, watched with all methods and metrics, on CPU, GPU or several devices.

`--data-dir` holds `train/<class>/*.jpg` and `test/<class>/*.jpg`; `--download` fetches CIFAR-10 through
torchvision instead.
"""

import argparse
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import timm
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import CIFAR10, ImageFolder

from lightning_saliency import GatedCheckpoint, SaliencyMonitor, methods, metrics

MEAN, STD = (0.491, 0.482, 0.447), (0.247, 0.243, 0.262)


class Images(pl.LightningDataModule):
    """CIFAR-10 from a folder or the network, augmented in training."""

    def __init__(self, data_dir: Path, download: bool, batch_size: int, workers: int) -> None:
        super().__init__()
        self.data_dir, self.download = data_dir, download
        self.batch_size, self.workers = batch_size, workers

    def prepare_data(self) -> None:
        """Download once."""
        if self.download:
            CIFAR10(self.data_dir, download=True)

    def _load(self, train: bool) -> Any:
        normalised = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
        augmented = [transforms.RandomCrop(32, 4), transforms.RandomHorizontalFlip()] if train else []
        transform = transforms.Compose([*augmented, *normalised])
        if self.download:
            return CIFAR10(self.data_dir, train=train, transform=transform)
        return ImageFolder(str(self.data_dir / ("train" if train else "test")), transform)

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled and augmented."""
        return DataLoader(self._load(train=True), self.batch_size, shuffle=True, num_workers=self.workers)

    def val_dataloader(self) -> DataLoader[Any]:
        """The test images."""
        return DataLoader(self._load(train=False), self.batch_size, num_workers=self.workers)


class Classifier(pl.LightningModule):
    """A timm network."""

    def __init__(self, network: str, learning_rate: float, classes: int) -> None:
        super().__init__()
        options = {"output_stride": 8} if network.startswith("resnet") else {}
        self.network = timm.create_model(network, num_classes=classes, **options)
        self.learning_rate = learning_rate

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K)."""
        logits: Tensor = self.network(images)
        return logits

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Cross-entropy."""
        images, labels = batch
        return functional.cross_entropy(self(images), labels)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Accuracy."""
        images, labels = batch
        self.log("val_accuracy", (self(images).argmax(dim=1) == labels).float().mean(), prog_bar=True, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """AdamW with one cycle."""
        optimizer = torch.optim.AdamW(self.parameters(), self.learning_rate, weight_decay=0.05)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.learning_rate, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def monitor(names: list[str] | None, num_images: int) -> SaliencyMonitor:
    """Watch the named methods, or all that are exported, by the metrics that need no masks."""
    classes = [getattr(methods, name) for name in methods.__all__ if name not in ("Method", "RandomMap", "EdgeMap")]
    selection = [kind.name for kind in classes] if names is None else names
    scored = [metrics.RCAP(), metrics.Allegiance(), metrics.Insertion(), metrics.Deletion(), metrics.Infidelity()]
    return SaliencyMonitor(selection, scored, num_images=num_images, controls=("random", "edges"))


def main() -> None:
    """Read the options and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--data-dir", type=Path, default=Path("data/cifar10"), help="image folder, or where to download"
    )
    parser.add_argument("--download", action="store_true", help="fetch CIFAR-10 through torchvision")
    parser.add_argument("--network", default="resnet18", help="name of a timm network")
    parser.add_argument("--classes", type=int, default=10, help="number of classes")
    parser.add_argument("--epochs", type=int, default=10, help="number of epochs")
    parser.add_argument("--batch-size", type=int, default=128, help="training images per step and device")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="of AdamW, at its highest")
    parser.add_argument("--methods", nargs="+", help="names of methods; all by default")
    parser.add_argument("--num-images", type=int, default=64, help="validation images to explain")
    parser.add_argument("--every-n-epochs", type=int, default=1, help="validate and watch in every n-th epoch")
    parser.add_argument("--devices", type=int, default=1, help="number of devices")
    parser.add_argument("--accelerator", default="auto", help="cpu, gpu, ...")
    parser.add_argument("--workers", type=int, default=0, help="processes that load images")
    parser.add_argument("--limit-train-batches", type=float, default=1.0, help="share of each epoch to train on")
    parser.add_argument("--log-dir", default="runs/cifar10", help="where TensorBoard files and checkpoints go")
    options = parser.parse_args()

    pl.seed_everything(0, verbose=False)
    trainer = pl.Trainer(
        max_epochs=options.epochs,
        accelerator=options.accelerator,
        devices=options.devices,
        check_val_every_n_epoch=options.every_n_epochs,
        limit_train_batches=options.limit_train_batches,
        logger=TensorBoardLogger(options.log_dir, name=""),
        callbacks=[
            monitor(options.methods, options.num_images),
            GatedCheckpoint(gates={"saliency/alarm": "<= 0"}, monitor="val_accuracy", mode="max"),
        ],
    )
    data = Images(options.data_dir, options.download, options.batch_size, options.workers)
    trainer.fit(Classifier(options.network, options.learning_rate, options.classes), data)
    print(f"Look at the explanations: tensorboard --logdir {options.log_dir}")


if __name__ == "__main__":
    main()
