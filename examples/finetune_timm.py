"""Fine-tune a timm model on an image folder: backbone frozen, bf16-mixed, explanations watched in full precision.

`--data-dir` holds `train/<class>/*` and `val/<class>/*`. `--pretrained` downloads weights.
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
from torchvision.datasets import ImageFolder

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.methods import GradCAM, GuidedAbsoluteGrad, PositiveGradient
from lightning_saliency.metrics import RCAP, Insertion


class FineTuner(pl.LightningModule):
    """A timm model in which only the head is trained."""

    def __init__(self, network: str, pretrained: bool, classes: int, learning_rate: float) -> None:
        super().__init__()
        self.network = timm.create_model(network, pretrained=pretrained, num_classes=classes)
        self.network.requires_grad_(False)
        self.network.get_classifier().requires_grad_(True)
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

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW on the trained parameters."""
        return torch.optim.AdamW((p for p in self.parameters() if p.requires_grad), self.learning_rate)


def loaders(network: Any, data_dir: Path, batch_size: int, size: int | None) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Load both folders with the transforms of the model."""
    config = timm.data.resolve_model_data_config(network)
    if size is not None:
        config["input_size"] = (3, size, size)
    train = ImageFolder(str(data_dir / "train"), timm.data.create_transform(**config, is_training=True))
    val = ImageFolder(str(data_dir / "val"), timm.data.create_transform(**config))
    return DataLoader(train, batch_size, shuffle=True), DataLoader(val, batch_size)


def main() -> None:
    """Read the options and fine-tune."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="image folder")
    parser.add_argument("--network", default="resnet18", help="name of a timm network")
    parser.add_argument("--pretrained", action="store_true", help="start from timm's weights")
    parser.add_argument("--epochs", type=int, default=3, help="number of epochs")
    parser.add_argument("--batch-size", type=int, default=32, help="images per step")
    parser.add_argument("--image-size", type=int, help="side of the images; that of the model by default")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of AdamW")
    parser.add_argument("--precision", default="bf16-mixed", help="of training; maps are computed in full precision")
    parser.add_argument("--num-images", type=int, default=32, help="validation images to explain")
    parser.add_argument("--log-dir", default="runs/finetune", help="where TensorBoard files and checkpoints go")
    options = parser.parse_args()

    pl.seed_everything(0, verbose=False)
    classes = sum(1 for folder in (options.data_dir / "train").iterdir() if folder.is_dir())
    model = FineTuner(options.network, options.pretrained, classes, options.learning_rate)
    train, val = loaders(model.network, options.data_dir, options.batch_size, options.image_size)
    monitor = SaliencyMonitor(
        [GuidedAbsoluteGrad(num_samples=10), GradCAM(), PositiveGradient()],
        [RCAP(), Insertion()],
        num_images=options.num_images,
    )
    gate = GatedCheckpoint(gates={"saliency/alarm": "<= 0"}, monitor="val_accuracy", mode="max")
    trainer = pl.Trainer(
        max_epochs=options.epochs,
        precision=options.precision,
        logger=TensorBoardLogger(options.log_dir, name=""),
        callbacks=[monitor, gate],
        log_every_n_steps=1,
    )
    trainer.fit(model, train, val)
    print(f"Look at the explanations: tensorboard --logdir {options.log_dir}")


if __name__ == "__main__":
    main()
