"""Does choosing by explanations choose better networks? Values of every epoch of trainings with planted signs.

Writes one row for each training and epoch: what a validation set, maps and cues say, and the accuracy on test images
whose signs tell nothing. `selection_rules.py` has the rules that choose by these values and was written before the
first look at them, and `selection_page.py` writes what comes of it. Trainings that have rows are kept, so that a run
can be interrupted. With `--quick` two small networks are trained, which shows that the study runs and nothing else.
With `--plan` the number of trainings is printed.
"""

import argparse
import csv
import io
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

# The store and its designs are in the folder of the shortcut studies.
sys.path.append(str(Path(__file__).parents[1] / "shortcuts"))

from benchmark import watched_images
from designs import Design
from images import Images, read_domain
from selection_plan import plan
from signs import FAMILY
from store import Training, accuracy, drawn_codes, predict, signed, store_folder, train_or_read

from lightning_saliency import alarm, explain, follow, score
from lightning_saliency.following import Following, largest_excess
from lightning_saliency.methods import EdgeMap, GuidedAbsoluteGrad
from lightning_saliency.metrics import RCAP, SRG, Insertion, RelevanceMass

Row = dict[str, str | int | float]
FEW: Final = 5
"""Labels a class that a rule is given of shifted images."""
STEPS: Final = 10
"""Steps of the curves."""


class Test(NamedTuple):
    """Test images: with signs that tell the class, with signs that tell nothing, and some of the latter for a rule."""

    aligned: Images
    shifted: Images
    few: Images


def main(options: argparse.Namespace) -> None:
    """Train or read, evaluate every epoch, and append the rows."""
    torch.set_num_threads(options.threads)
    part, parts = map(int, options.part.split("/"))
    planned = [design for design in plan(options.quick) if options.only in design.name][part - 1 :: parts]
    if options.plan:
        print(f"{len(planned)} trainings with {sum(design.epochs for design in planned)} epochs")
        return
    for number, design in enumerate(planned):
        if design.name in _names(options.output):
            continue
        start = time.perf_counter()
        rows = list(rows_of(train_or_read(design, store_folder())))
        _append(options.output, rows)
        print(f"{number + 1}/{len(planned)} {design.name}: {time.perf_counter() - start:.0f} s", flush=True)


def rows_of(training: Training) -> Iterator[Row]:
    """Describe the network after each epoch."""
    design, val = training.design, training.data.val
    watched = watched_images(val, design.seed)
    # Nothing but its sign distinguishes an image from that before planting.
    plain = watched_images(read_domain(design.domain).val, design.seed)
    test = test_images(design)
    for epoch, network in enumerate(training.networks()):
        values = {
            **_validation(network, val),
            **_explanations(network, watched, _unsigned(design, watched, plain)),
            **_cues(network, watched),
            "few_shifted": accuracy(network, test.few),
            "aligned": accuracy(network, test.aligned),
            "shifted": accuracy(network, test.shifted),
        }
        yield {"name": design.name, "epoch": epoch, **{key: round(value, 4) for key, value in values.items()}}


def test_images(design: Design) -> Test:
    """Plant signs in test images, and set a few of each class apart."""
    test = read_domain(design.domain).test
    told = untold = test
    if design.kind != "none":
        told = signed(test, design.kind, test.labels, 1)
        untold = signed(test, design.kind, drawn_codes(test.labels, 0.0, 2), 1)
    few = torch.zeros(len(test.labels), dtype=torch.bool)
    for label in test.labels.unique():
        few[(test.labels == label).nonzero()[:FEW]] = True
    return Test(_part(told, ~few), _part(untold, ~few), _part(untold, few))


def accuracy_with(following: Following) -> float:
    """Return the accuracy on hosts that have a cue of a donor of another class."""
    others = (following.hosts >= 0) & (following.host_labels != following.labels[:, None])
    return (following.after == following.host_labels)[others].double().mean().item()


def _validation(network: nn.Module, val: Images) -> dict[str, float]:
    logits = predict(network, val.images)
    right = (logits.argmax(dim=1) == val.labels).double()
    return {
        "val_accuracy": right.mean().item(),
        "val_loss": functional.cross_entropy(logits, val.labels).item(),
        "worst_class": min(right[val.labels == label].mean().item() for label in val.labels.unique()),
    }


def _explanations(network: nn.Module, watched: Images, unsigned: Tensor | None) -> dict[str, float]:
    maps = explain(network, *watched, {"map": GuidedAbsoluteGrad(), "edges": EdgeMap()})
    metrics = {
        "rcap": RCAP(),
        "insertion": Insertion(STEPS),
        "insertion_intact": Insertion(STEPS, normalize="intact"),
        "srg": SRG(STEPS, canvas="blur"),
    }
    scores = score(network, watched.images, maps, watched.labels, metrics)
    mass = torch.tensor(math.nan)
    if unsigned is not None:
        mass = RelevanceMass().scores(network, watched.images, maps["map"], watched.labels, masks=unsigned).nanmean()
    return {
        **{name: scores["map"][name].mean().item() for name in metrics},
        "rcap_edges": scores["edges"]["rcap"].mean().item(),
        "insertion_edges": scores["edges"]["insertion"].mean().item(),
        "mass": mass.item(),
    }


def _cues(network: nn.Module, watched: Images) -> dict[str, float]:
    followings = follow(network, *watched)
    effects = [following.effect.mean for following in followings.values() if not following.absence]
    accuracies = [accuracy_with(following) for following in followings.values() if not following.absence]
    return {
        "alarm": alarm(followings).state,
        "excess": largest_excess(followings),
        "cue_effect": max(effect.value for effect in effects),
        "cue_limit": max(effect.value + 2 * effect.stderr for effect in effects),
        "worst_cue_accuracy": min(accuracies),
        "mean_cue_accuracy": sum(accuracies) / len(accuracies),
    }


def _unsigned(design: Design, watched: Images, plain: Images) -> Tensor | None:
    """Return where images with a sign have none (N, H, W), nowhere for others; `None` for signs without a place."""
    if "place" not in FAMILY.get(design.kind, ()):
        return None
    signs = (watched.images != plain.images).any(dim=1)
    shares = signs.flatten(1).double().mean(dim=1)
    marked = (shares > 0) & (shares <= 0.5)
    return ~signs & marked[:, None, None] if marked.any() else None


def _part(images: Images, rows: Tensor) -> Images:
    return Images(images.images[rows], images.labels[rows])


def _names(path: Path) -> set[str]:
    if not path.exists():
        return set()
    with path.open(newline="", encoding="utf-8") as file:
        return {row["name"] for row in csv.DictReader(file)}


def _append(path: Path, rows: list[Row]) -> None:
    """Write the rows of a training at once, so that several processes can write and none leaves a part of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    if not path.exists():
        writer.writeheader()
    writer.writerows(rows)
    with path.open("a", newline="", encoding="utf-8") as file:
        file.write(text.getvalue())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/shortcuts/selection.csv"))
    parser.add_argument("--only", default="", help="use only what has this in its name")
    parser.add_argument("--part", default="1/1", help="such as 2/3 for the second of every three trainings")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plan", action="store_true", help="say how many trainings there are, and do nothing")
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args())
