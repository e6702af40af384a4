"""The alarm on networks trained for this purpose: what it finds, what it accuses wrongly, and when.

Trains every network of `designs.py` that the store does not hold, follows the default cues after each epoch, and
writes one row a training. The rule was frozen before the first of these trainings. With `--quick` two small networks
are trained, which shows that the benchmark runs and nothing else. With `--plan` the cost is printed.
"""

import argparse
import csv
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from designs import Design, designs
from images import Images, read_domain
from rivals import rivals
from signs import FAMILY, NEW, touched
from store import Training, accuracy, drawn_codes, num_classes, signed, store_folder, train_or_read
from torch import nn

from lightning_saliency import alarm, follow
from lightning_saliency.following import Alarm, largest_excess

Row = dict[str, str | int | float]
NUM_WATCHED: Final = 64
SHORTCUT: Final = 0.2
HONEST: Final = 0.05


def main(options: argparse.Namespace) -> None:
    """Train, follow and write; rows that are in the table already are kept."""
    torch.set_num_threads(options.threads)
    planned = [design for design in designs(options.quick) if options.only in design.name]
    if options.plan:
        print(f"{len(planned)} trainings, about {sum(design.seconds for design in planned) / 60:.0f} CPU minutes")
        return
    rows = _read(options.output)
    for number, design in enumerate(planned):
        if design.name in rows:
            continue
        start = time.perf_counter()
        rows[design.name] = row_of(train_or_read(design, store_folder()))
        _write(options.output, list(rows.values()))
        row = rows[design.name]
        print(
            f"{number + 1}/{len(planned)} {design.name}: {row['truth']}, alarms {row['states']}, "
            f"{time.perf_counter() - start:.0f} s",
            flush=True,
        )


def row_of(training: Training) -> Row:
    """Describe one training: what it really follows, and what the alarm said after each epoch."""
    design, watched = training.design, watched_images(training.data.val, training.design.seed)
    decisions, excesses, halves = [], [], []
    decision: Alarm | None = None
    for network in training.networks():
        followings = follow(network, watched.images, watched.labels)
        decision = alarm(followings, previous=decision)
        decisions.append(decision)
        excesses.append(largest_excess(followings))
        halves.append(alarm(followings, halves=True).state)
    aligned, decoupled, overall = falls(network, design)
    fall = aligned - decoupled
    last = decisions[-1]
    named = next((each for each in reversed(decisions) if each.state), last)
    return {
        "name": design.name,
        "domain": design.domain,
        "kind": design.kind,
        "agreement": design.agreement,
        "control": design.control,
        "network": design.network,
        "seed": design.seed,
        "chosen_on": int(design.chosen_on),
        "new_kind": int(design.kind in NEW),
        "aligned": round(aligned, 4),
        "decoupled": round(decoupled, 4),
        "fall": round(fall, 4),
        "overall_fall": round(overall, 4),
        "truth": "shortcut" if fall > SHORTCUT else "honest" if fall < HONEST else "between",
        "states": " ".join(str(each.state) for each in decisions),
        "halves": " ".join(map(str, halves)),
        "excesses": " ".join(f"{excess:.3f}" for excess in excesses),
        "excess": round(excesses[-1], 4),
        "cue": named.cue,
        "families": " ".join(named.families),
        "right_family": int(bool({*FAMILY.get(design.kind, ())} & {*named.families})),
        "value": round(named.value, 4),
        "stderr": round(named.stderr, 4),
        **{name: round(value, 4) for name, value in rivals(network, watched, training.data.val).items()},
    }


def watched_images(val: Images, seed: int) -> Images:
    """Draw the images that a monitor would watch, equally many a class."""
    order = torch.randperm(len(val.labels), generator=torch.Generator().manual_seed(seed))
    labels = val.labels[order]
    rank = torch.stack([(labels[:row] == labels[row]).sum() for row in range(len(labels))])
    rows = order[rank.argsort(stable=True)[:NUM_WATCHED]]
    return Images(val.images[rows], val.labels[rows])


def falls(network: nn.Module, design: Design) -> tuple[float, float, float]:
    """Return the accuracy on classes with a sign where it tells them and where not, and the fall on all classes."""
    domain = read_domain(design.domain)
    test = domain.test
    if design.kind == "none":
        right = accuracy(network, test)
        return right, right, 0.0
    told = signed(test, design.kind, test.labels, 1)
    untold = signed(test, design.kind, drawn_codes(test.labels, 0.0, 2), 1)
    chosen = torch.isin(test.labels, torch.tensor(touched(design.kind)[: num_classes(domain)]))
    with_sign, without = (
        accuracy(network, Images(part.images[chosen], part.labels[chosen])) for part in (told, untold)
    )
    return with_sign, without, accuracy(network, told) - accuracy(network, untold)


def _read(path: Path) -> dict[str, Mapping[str, str | int | float]]:
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def _write(path: Path, rows: Sequence[Mapping[str, str | int | float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/shortcuts/benchmark.csv"))
    parser.add_argument("--only", default="", help="train only what has this in its name")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plan", action="store_true", help="say what would be trained, and train nothing")
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args())
