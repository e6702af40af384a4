"""The accuracy that swapping cues in training brings back after a shortcut has cost it.

Trains networks on images with planted signs: as they are, with the fitting cue swapped, with all default cues swapped,
and with the cue swapped that an alarm names. The bound is a network trained on signs that tell nothing. Each training
is a row with accuracies on validation images, on test images whose signs tell nothing, and on test images without
signs. With `--legitimate` labels are drawn anew, so that the sign is the class and nothing else tells it. Accuracies
are then those of such images, and a swap harms. Rows that are in the table already are kept. With `--quick` one kind is
trained for a few epochs, which shows that the study runs and little else.
"""

import argparse
import csv
import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import lightning.pytorch as pl
import torch
from designs import Design
from images import Domain, Images, read_domain
from networks import build
from signs import SIGNS
from store import BATCH, accuracy, drawn_codes, num_classes, planted_domain, signed
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from lightning_saliency import CueSwap, SaliencyMonitor

Row = Mapping[str, str | int | float]
LEGITIMATE: Final = "legitimate"

FITTING: Final = {
    "place": "wide_frame", "interior": "cell", "one_class": "cell", "moving": "cell", "watermark": "fine_detail",
    "level": "level", "contrast": "contrast", "tint": "spectrum", "frame": "wide_frame", "texture": "spectrum",
    "grain": "sharpness", "blur": "sharpness", "size": "zoom", "position": "shift",
    "tag": "cell", "line": "cell", "vignette": "spectrum", "fringe": "spectrum", "blocks": "sharpness",
    "none": "spectrum",
}  # fmt: skip
"""The cue that holds each kind of sign best, written down before anything was trained on the last five of the signs."""


def watch() -> SaliencyMonitor:
    """Return a monitor that does little besides following cues."""
    return SaliencyMonitor(["gradient"], ["rcap"], controls=(), drift=(), num_panels=0, num_worst=0)


CONDITIONS: Final[dict[str, Callable[[Design], list[pl.Callback]]]] = {
    "plain": lambda _: [],
    "named": lambda design: [CueSwap([FITTING[design.kind]], when="always", seed=design.seed)],
    "all": lambda design: [CueSwap(when="always", seed=design.seed)],
    "alarm": lambda design: [watch(), CueSwap(seed=design.seed)],
    "bound": lambda _: [],
}


class Classifier(pl.LightningModule):
    """Trains a network as the networks of the training store are trained."""

    def __init__(self, design: Design, classes: int) -> None:
        super().__init__()
        self.network = build(design.network, classes)
        self.rate = 5e-4 if design.network == "resnet20" else 2e-3

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K)."""
        logits: Tensor = self.network(images)
        return logits

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        """Cross-entropy."""
        images, labels = batch
        return functional.cross_entropy(self(images), labels)

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        """Let the monitor work."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), self.rate)


def train(design: Design, condition: str) -> Row:
    """Train one network and measure it."""
    start = time.perf_counter()
    data = data_of(design)
    pl.seed_everything(design.seed, verbose=False)
    module = Classifier(design, num_classes(data))
    callbacks = CONDITIONS[condition](design)
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
        "name": f"{design.name}-{condition}",
        "domain": design.domain,
        "kind": design.kind,
        "agreement": design.agreement,
        "network": design.network,
        "seed": design.seed,
        "epochs": design.epochs,
        "control": design.control,
        "condition": condition,
        **accuracies(module.network.eval(), design, data),
        "after_alarm": " ".join(f"{name}:{epoch}" for epochs in swapped for name, epoch in epochs.items()),
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


def planned(options: argparse.Namespace) -> list[tuple[Design, str]]:
    """List what is trained; the bound does not depend on the agreement."""
    choices = product(options.domains, options.kinds, options.agreements, options.seeds, options.conditions)
    plans = []
    for domain, kind, agreement, seed, condition in choices:
        control = "random" if condition == "bound" and kind != "none" else "planted"
        control = LEGITIMATE if options.legitimate else control
        share = agreement if control == "planted" and kind != "none" else 1.0
        design = Design(domain, kind, share, control, options.network, seed, options.epochs)
        plans.append((design, condition))
    return list(dict.fromkeys(plans))


def summary(rows: Sequence[Row]) -> str:
    """Return one line for each kind: the mean accuracy on decoupled signs by condition."""
    kinds, conditions = (list(dict.fromkeys(str(row[key]) for row in rows)) for key in ("kind", "condition"))
    lines = [f"{'decoupled':12}" + "".join(f"{condition:>9}" for condition in conditions)]
    for kind in kinds:
        means = []
        for condition in conditions:
            values = [float(row["decoupled"]) for row in rows if (row["kind"], row["condition"]) == (kind, condition)]
            means.append(f"{sum(values) / len(values):9.3f}" if values else " " * 9)
        lines.append(f"{kind:12}" + "".join(means))
    return "\n".join(lines)


def main(options: argparse.Namespace) -> None:
    """Train and write."""
    torch.set_num_threads(options.threads)
    if options.quick:
        options.kinds, options.seeds, options.epochs = ["place"], [1], 4
    plans = planned(options)
    if options.plan:
        print(f"{len(plans)} trainings, about {sum(design.seconds for design, _ in plans) / 60:.0f} CPU minutes")
        return
    rows = _read(options.output)
    for number, (design, condition) in enumerate(plans, start=1):
        name = f"{design.name}-{condition}"
        if name not in rows:
            rows[name] = train(design, condition)
            _write(options.output, list(rows.values()))
            print(f"{number}/{len(plans)} {name}: decoupled {rows[name]['decoupled']}", flush=True)
    print(summary(list(rows.values())))


def _read(path: Path) -> dict[str, Row]:
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def _write(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/shortcuts/cure.csv"))
    parser.add_argument("--domains", nargs="+", default=["digits"])
    parser.add_argument("--kinds", nargs="+", default=["place", "level", "frame", "texture", "none"])
    parser.add_argument("--agreements", nargs="+", type=float, default=[1.0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--legitimate", action="store_true", help="let the sign be the class")
    parser.add_argument("--network", default="flat")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plan", action="store_true", help="say what would be trained, and train nothing")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    unknown = sorted({*options.kinds} - {*SIGNS, "none"})
    if unknown:
        parser.error(f"--kinds must be among none, {', '.join(SIGNS)}, but got {unknown}")
    return options


if __name__ == "__main__":
    for noise in ("does not have many workers", "LeafSpec", "number of training batches", "SaliencyMonitor"):
        warnings.filterwarnings("ignore", message=f".*{noise}.*")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    main(_options())
