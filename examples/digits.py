"""Train a small network on scikit-learn's handwritten digits while its explanations are watched and gated.

No data is downloaded. A table shows the scores of every epoch and whether its checkpoint was kept, and a page shows the
explanations.
"""

import argparse
import warnings
from pathlib import Path

import lightning.pytorch as pl
import timm
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from sklearn.datasets import load_digits
from strips import last_strips
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.following import Alarm
from lightning_saliency.report import write_report

MEAN, STD = 0.3, 0.35


class Digits(pl.LightningDataModule):
    """1,797 scans of 8x8 pixels, enlarged to 32x32 and normalised."""

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:
        """Split into training and validation."""
        scans, labels = load_digits(return_X_y=True)
        images = torch.tensor(scans, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
        images = functional.interpolate(images, size=(32, 32), mode="bilinear", align_corners=False)
        data = TensorDataset((images - MEAN) / STD, torch.tensor(labels))
        self.train, self.val = torch.utils.data.random_split(data, [0.8, 0.2], torch.Generator().manual_seed(0))

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Shuffled training images."""
        return DataLoader(self.train, self.batch_size, shuffle=True, drop_last=True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Validation images."""
        return DataLoader(self.val, 256)


class Classifier(pl.LightningModule):
    """A timm network for one-channel images of 32x32 pixels."""

    def __init__(self, network: str, learning_rate: float) -> None:
        super().__init__()
        # With the default stride of 32, an image of 32 pixels would end in a single position.
        self.network = timm.create_model(network, in_chans=1, num_classes=10, output_stride=8)
        self.learning_rate = learning_rate

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
        accuracy = (self(images).argmax(dim=1) == labels).float().mean()
        self.log("val_accuracy", accuracy, prog_bar=True, sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW."""
        return torch.optim.AdamW(self.parameters(), self.learning_rate)


class History(pl.Callback):
    """Keeps the values that every validation logged."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the values."""
        if not trainer.sanity_checking:
            self.rows.append({name: value.item() for name, value in trainer.callback_metrics.items()})


def print_scores(history: History, gate: GatedCheckpoint, alarm: Alarm) -> None:
    """Print scores and decisions by epoch, and which cue is followed."""
    names = [f"{method}/rcap{end}" for method in ("guided_absolute_grad", "grad_cam") for end in ("", "_vs_edges")]
    print("\nepoch  accuracy  " + "  ".join(names) + "  checkpoint")
    for row, decision in zip(history.rows, gate.decisions, strict=True):
        scores = "  ".join(f"{row['saliency/' + name]:{len(name)}.3f}" for name in names)
        outcome = "kept" if decision.passed else "refused: " + "; ".join(decision.reasons)
        print(f"{decision.epoch:5}  {row['val_accuracy']:8.3f}  {scores}  {outcome}")
    print(f"\nPredictions follow {f'the {alarm.cue}' if alarm.state else 'none of the cues: no shortcut was found'}.")
    names = sorted(Path(path).name for path in gate.best_k_models)
    print(f"Checkpoints on disk: {', '.join(names) or 'none'} in {gate.dirpath}")


def save_strips(log_dir: str, path: Path) -> None:
    """Save the last strips of one image, one below the other for each method."""
    strips = list(last_strips(log_dir).values())
    picture = Image.new("RGB", (strips[0].width, sum(strip.height for strip in strips)), "white")
    top = 0
    for strip in strips:
        picture.paste(strip, (0, top))
        top += strip.height
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def main() -> None:
    """Read the options and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--network", default="resnet10t", help="name of a timm network")
    parser.add_argument("--epochs", type=int, default=5, help="number of epochs")
    parser.add_argument("--batch-size", type=int, default=64, help="training images per step")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of AdamW")
    parser.add_argument("--num-images", type=int, default=64, help="validation images to explain")
    parser.add_argument("--gate", default=">= 0.8", help="bound on validation accuracy, beside the gate on the alarm")
    parser.add_argument("--log-dir", default="runs/digits", help="where TensorBoard files and checkpoints go")
    parser.add_argument("--picture", type=Path, help="also save the strips of one image as PNG")
    options = parser.parse_args()

    for noise in ("does not have many workers", "LeafSpec"):
        warnings.filterwarnings("ignore", message=f".*{noise}.*")
    print(
        f"Training {options.network} on handwritten digits for {options.epochs} epochs. After each of them the monitor "
        f"explains {options.num_images} validation images, scores the maps, and puts cues of images into others."
    )
    pl.seed_everything(0, verbose=False)
    logger = TensorBoardLogger(options.log_dir, name="")
    monitor = SaliencyMonitor(num_images=options.num_images, mean=MEAN, std=STD, best="guided_absolute_grad/rcap")
    gate = GatedCheckpoint(
        gates={"saliency/alarm": "<= 0", "val_accuracy": options.gate},
        filename="epoch={epoch}-accuracy={val_accuracy:.3f}",
        monitor="val_accuracy",
        mode="max",
        save_top_k=2,
    )
    history = History()
    trainer = pl.Trainer(
        max_epochs=options.epochs,
        accelerator="auto",
        logger=logger,
        callbacks=[monitor, gate, history],
        log_every_n_steps=10,
        enable_model_summary=False,
    )
    trainer.fit(Classifier(options.network, options.learning_rate), Digits(options.batch_size))
    print_scores(history, gate, monitor.alarm)
    if options.picture:
        save_strips(logger.log_dir, options.picture)
    page = Path(logger.log_dir, "report.html")
    write_report(logger.log_dir, page)
    print(f"Charts with all values: tensorboard --logdir {logger.log_dir}")
    print(f"Open this page in a browser to see the explanations: {page}")


if __name__ == "__main__":
    main()
