"""A shortcut noticed and cured in training: a network that reads a mark at the edge instead of the digit.

The mark agrees with the label in training and validation, and not in the test set. Validation accuracy looks
perfect; test accuracy does not. Nobody tells the monitor where the mark is: it puts cues of images into others, finds
that predictions follow the frame, and its alarm makes a gate refuse the checkpoints. In the second training a callback
swaps the cue that the alarm names between training images: the alarm ends, checkpoints are kept, and the network reads
digits that have no mark or a wrong one. RCAP and class sensitivity are printed too: they do not notice the shortcut. A
third network is trained without marks for comparison.
"""

import argparse
import logging
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from shortcut_picture import ACCURACIES, FRAME, Run, save_picture
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Subset

from lightning_saliency import CueSwap, GatedCheckpoint, SaliencyMonitor
from lightning_saliency.methods import GradCAM, GuidedAbsoluteGrad
from lightning_saliency.metrics import RCAP, ClassSensitivity

Batch = dict[str, Tensor]
MARK = 3


class MarkedDigits(Dataset[dict[str, Tensor]]):
    """Digits of 32x32 pixels with a bright mark on the lower edge, whose place encodes a class.

    Args:
        marks: The class: that of the digit (`"agree"`), a random one (`"random"`), or no mark at all (`"none"`).
    """

    def __init__(self, marks: str) -> None:
        scans, labels = load_digits(return_X_y=True)
        images = torch.tensor(scans, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
        small = functional.interpolate(images, size=(26, 26), mode="bilinear", align_corners=False)
        self.images = functional.pad(small, (3, 3, 0, 6))
        self.targets = torch.tensor(labels)
        random = torch.randint(10, (len(labels),), generator=torch.Generator().manual_seed(0))
        self.encoded = {"agree": self.targets, "random": random, "none": None}[marks]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        image = self.images[index].clone()
        if self.encoded is not None:
            place = 1 + MARK * int(self.encoded[index])
            image[:, -MARK:, place : place + MARK] = 1.0
        return {"image": image, "label": self.targets[index]}


class Data(pl.LightningDataModule):
    """Training and validation digits marked alike, and test digits with random marks and without any."""

    def __init__(self, marks: str) -> None:
        super().__init__()
        order = torch.randperm(1797, generator=torch.Generator().manual_seed(0)).tolist()
        marked, unmarked = MarkedDigits(marks), MarkedDigits("random" if marks == "agree" else "none")
        self.train, self.val = Subset(marked, order[:1200]), Subset(marked, order[1200:1500])
        self.test = [Subset(digits, order[1500:]) for digits in (unmarked, MarkedDigits("none"))]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Training digits."""
        return DataLoader(self.train, 32, shuffle=True)

    def val_dataloader(self) -> list[DataLoader[Batch]]:
        """Validation digits, which the monitor watches, and test digits, which a real project does not have."""
        return [DataLoader(part, 300) for part in (self.val, *self.test)]


class Classifier(pl.LightningModule):
    """A plain convolutional network that logs its accuracy on all sets."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 16, 32, 64)
        blocks: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            blocks += [nn.Conv2d(narrow, wide, 3, padding=1), nn.BatchNorm2d(wide), nn.ReLU(), nn.MaxPool2d(2)]
        self.network = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(64 * 16, 10))
        self.accuracies: list[tuple[float, float]] = []

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, 10)."""
        logits: Tensor = self.network(images)
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Cross-entropy."""
        return functional.cross_entropy(self(batch["image"]), batch["label"])

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int) -> None:
        """Accuracy on validation and test digits."""
        right = (self(batch["image"]).argmax(dim=1) == batch["label"]).float().mean()
        self.log(list(ACCURACIES)[dataloader_idx], right, add_dataloader_idx=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), 1e-3)


class History(pl.Callback):
    """Keeps the values that each validation logged."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the values."""
        if not trainer.sanity_checking:
            self.rows.append({name: value.item() for name, value in trainer.callback_metrics.items()})


def watched_run(title: str, marks: str, options: argparse.Namespace, cure: Sequence[pl.Callback] = ()) -> Run:
    """Train on digits marked in this way, watched, gated and perhaps cured, and print the results."""
    epochs, log_dir, name = options.epochs, options.log_dir, f"{marks}_cured" if cure else marks
    pl.seed_everything(0, verbose=False)
    history = History()
    gate = GatedCheckpoint(
        log_dir / name / "checkpoints",
        gates={"saliency/alarm": "<= 0"},
        save_top_k=-1,
    )
    monitor = SaliencyMonitor([GuidedAbsoluteGrad(), GradCAM()], [RCAP(), ClassSensitivity()], log=["cues/*_stderr"])
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="auto",
        logger=TensorBoardLogger(log_dir, name=name),
        callbacks=[monitor, gate, history, *cure],
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10,
    )
    trainer.fit(Classifier(), Data(marks))
    run = Run(title, history.rows, [decision.passed for decision in gate.decisions], str(trainer.log_dir))
    show(run)
    cue = monitor.alarm.cue.replace("_", " ")
    print(f"Predictions follow the {cue}." if cue else "Predictions follow none of the cues.")
    return run


def show(run: Run) -> None:
    """Print one run, one line per epoch."""
    prefix = "saliency/guided_absolute_grad"
    print(f"\n{run.title}:")
    print("epoch  validation  test   unmarked  follows the frame  alarm  RCAP   class-sens.  checkpoint")
    for epoch, (row, passed) in enumerate(zip(run.rows, run.passed, strict=True)):
        followed, error = row[FRAME], row[f"{FRAME}_stderr"]
        print(
            f"{epoch:5}  {row['val_accuracy']:10.3f}  {row['test_accuracy']:.3f}  {row['unmarked_accuracy']:8.3f}  "
            f"{followed:8.3f} ± {error:.3f}  "
            f"{row['saliency/alarm']:5.0f}  {row[f'{prefix}/rcap']:.3f}  "
            f"{row[f'{prefix}/class_sensitivity']:11.3f}  {'kept' if passed else 'refused'}"
        )


def main() -> None:
    """Read the options and train all networks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4, help="number of epochs")
    parser.add_argument("--log-dir", type=Path, default=Path("runs/shortcut"), help="where logs and checkpoints go")
    parser.add_argument("--picture", type=Path, help="also save the figure as PNG")
    options = parser.parse_args()

    for noise in ("does not have many workers", "LeafSpec", "exists and is not empty"):
        warnings.filterwarnings("ignore", message=f".*{noise}.*")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    runs = [
        watched_run("Marks that agree with the label", "agree", options),
        watched_run("The same marks, swapped after the alarm", "agree", options, [CueSwap()]),
        watched_run("No marks", "none", options),
    ]
    print("\nRCAP is higher with marks: it measures whether maps fit the network, not whether the network is right.")
    print("Class sensitivity is the same: with marks, too, the maps depend on the class, through its mark.")
    print(f"Look at the explanations: tensorboard --logdir {options.log_dir}")
    if options.picture:
        save_picture(runs, options.picture)


if __name__ == "__main__":
    main()
