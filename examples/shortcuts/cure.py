"""The accuracy that swapping cues in training brings back after a shortcut has cost it.

Trains the networks of `cure_designs.py` on images with planted signs: as they are, with the cue swapped that an alarm
names, with the fitting cue and with all default cues always swapped, and with augmentations that know nothing of cues.
The bound is a network trained on signs that tell nothing. Each training is a row with accuracies on validation images,
on test images whose signs tell nothing, and on test images without signs. Where signs are legitimate, labels are drawn
anew, so that the sign is the class and nothing else tells it. Accuracies are then those of such images. Rows that are
in the table already are kept. With `--quick` one kind is trained for a few epochs, which shows that the study runs and
little else. `cure_tables.py` makes tables of the rows.
"""

import argparse
import csv
import hashlib
import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import lightning.pytorch as pl
import torch
from augmentations import Augmentation, augmentation
from cure_designs import LEGITIMATE, Trial, trials
from cure_tables import summary
from designs import Design
from images import Domain, Images, read_domain
from networks import build
from store import BATCH, accuracy, drawn_codes, num_classes, planted_domain, signed
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from lightning_saliency import CueSwap, SaliencyMonitor

Row = Mapping[str, str | int | float]

FITTING: Final = {
    "place": "wide_frame", "interior": "cell", "one_class": "cell", "moving": "cell", "watermark": "fine_detail",
    "level": "level", "contrast": "contrast", "tint": "spectrum", "frame": "wide_frame", "texture": "spectrum",
    "grain": "sharpness", "blur": "sharpness", "size": "zoom", "position": "shift",
    "tag": "cell", "line": "cell", "vignette": "spectrum", "fringe": "spectrum", "blocks": "sharpness",
}  # fmt: skip
"""The cue that holds each kind of sign best, written down before anything was trained on the last five of the signs."""

ALLOWED: Final = {"level": ("level", "spectrum", "wide_frame"), "tint": ("colour", "spectrum")}
"""Cues that may decide where a sign is the class: all that an alarm has named for it."""


def watch(allow: Sequence[str] = ()) -> SaliencyMonitor:
    """Return a monitor that does little besides following cues."""
    return SaliencyMonitor(["gradient"], ["rcap"], controls=(), drift=(), num_panels=0, num_worst=0, allow=allow)


CONDITIONS: Final[dict[str, Callable[[Design], list[pl.Callback]]]] = {
    "plain": lambda _: [],
    "named": lambda design: [CueSwap([FITTING[design.kind]], when="always", seed=design.seed)],
    "all": lambda design: [CueSwap(when="always", seed=design.seed)],
    "alarm": lambda design: [watch(), CueSwap(seed=design.seed)],
    "allow": lambda design: [watch(ALLOWED[design.kind]), CueSwap(seed=design.seed)],
    "bound": lambda _: [],
}
"""Callbacks by condition. Other conditions are names of augmentations."""


class Classifier(pl.LightningModule):
    """Trains a network as the networks of the training store are trained."""

    def __init__(self, design: Design, classes: int, augmentations: Sequence[str]) -> None:
        super().__init__()
        self.network = build(design.network, classes)
        self.rate = 5e-4 if design.network == "resnet20" else 2e-3
        self.augmentations: list[Augmentation] = [
            augmentation(name, self.network, classes, design.seed) for name in augmentations
        ]

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K)."""
        logits: Tensor = self.network(images)
        return logits

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        """Cross-entropy."""
        images, labels = batch
        for augment in self.augmentations:
            images, labels = augment(images, labels)
        return functional.cross_entropy(self(images), labels)

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        """Let the monitor work."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), self.rate)


def train(trial: Trial) -> Row:
    """Train one network and measure it."""
    start = time.perf_counter()
    design = trial.design
    data = data_of(design)
    pl.seed_everything(design.seed, verbose=False)
    parts = trial.condition.split("+")
    module = Classifier(design, num_classes(data), [part for part in parts if part not in CONDITIONS])
    callbacks = [callback for part in parts if part in CONDITIONS for callback in CONDITIONS[part](design)]
    # BatchNorm needs two images.
    drops_last = len(data.train.labels) % BATCH == 1
    loaders = (
        DataLoader(TensorDataset(*data.train), BATCH, shuffle=True, drop_last=drops_last),
        DataLoader(TensorDataset(*data.val), 250),
    )
    with TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_epochs=design.epochs, accelerator="cpu", logger=False, callbacks=callbacks, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder,
        )  # fmt: skip
        trainer.fit(module, *loaders)
    swapped = [callback.state_dict()["cure"]["epochs"] for callback in callbacks if isinstance(callback, CueSwap)]
    return {
        "name": trial.name,
        "domain": design.domain,
        "kind": design.kind,
        "agreement": design.agreement,
        "network": design.network,
        "seed": design.seed,
        "epochs": design.epochs,
        "control": design.control,
        "condition": trial.condition,
        **accuracies(module.network.eval(), design, data),
        "after_alarm": " ".join(f"{name}:{epoch}" for epochs in swapped for name, epoch in epochs.items()),
        "weights": checksum(module.network),
        "seconds": round(time.perf_counter() - start, 1),
    }


def data_of(design: Design) -> Domain:
    """Return the images that a network is trained, validated and tested on."""
    if design.control != LEGITIMATE:
        return planted_domain(design)
    parts = []
    for number, (images, labels) in enumerate(read_domain(design.domain)):
        drawn = drawn_codes(labels, 0.0, 10 * design.seed + number)
        parts.append(signed(Images(images, drawn), design.kind, drawn, number))
    return Domain(*parts)


def accuracies(network: nn.Module, design: Design, data: Domain) -> dict[str, float]:
    """Return the accuracies of a trained network, by the names of their columns."""
    decoupled, test = data.test, data.test
    if design.kind != "none" and design.control != LEGITIMATE:
        decoupled = signed(test, design.kind, drawn_codes(test.labels, 0.0, 2), 1)
    parts = {"validation": data.val, "decoupled": decoupled, "unmarked": test}
    return {name: round(accuracy(network, part), 4) for name, part in parts.items()}


def checksum(network: nn.Module) -> str:
    """Return a number of the weights, by which equal networks are told."""
    values = b"".join(value.numpy().tobytes() for value in network.state_dict().values())
    return hashlib.sha256(values).hexdigest()[:12]


def main(options: argparse.Namespace) -> None:
    """Train and write, one row at a time, so that processes with different `--only` may fill one table."""
    torch.set_num_threads(options.threads)
    planned = [trial for trial in trials(options.quick) if options.only in trial.name]
    if options.plan:
        print(f"{len(planned)} trainings, about {sum(trial.design.seconds for trial in planned) / 60:.0f} CPU minutes")
        return
    for number, trial in enumerate(planned, start=1):
        if any(row["name"] == trial.name for row in _read(options.output)):
            continue
        row = train(trial)
        _append(options.output, row)
        print(f"{number}/{len(planned)} {trial.name}: decoupled {row['decoupled']}", flush=True)
    print(summary(_read(options.output)))


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _append(path: Path, row: Row) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if is_new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/shortcuts/cure.csv"))
    parser.add_argument("--only", default="", help="train only what has this in its name")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plan", action="store_true", help="say what would be trained, and train nothing")
    parser.add_argument("--quick", action="store_true")
    for noise in ("does not have many workers", "LeafSpec", "number of training batches", "SaliencyMonitor"):
        warnings.filterwarnings("ignore", message=f".*{noise}.*")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    main(parser.parse_args())
