"""Tables of the cure for the documents, from the rows that `cure.py` wrote."""

import argparse
import csv
import random
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from cure_designs import LEGITIMATE, RIVALS, SWAPS

TABLE: Final = Path(__file__).with_name("cure.csv")
FIRST: Final = Path(__file__).with_name("cure_first.csv")
"""Trainings after an alarm with the first version of the swap."""
NAMES: Final = {
    "plain": "plain", "alarm": "swap after the alarm", "named": "fitting cue, always", "all": "default cues, always",
    "erasing": "random erasing", "cutmix": "CutMix", "mixup": "mixup", "icd": "BNNR's ICD", "aicd": "BNNR's AICD",
    "bound": "bound", "moved": "shifts", "allow": "after the alarm, with `allow`",
}  # fmt: skip
DOMAINS: Final = {"cifar": "CIFAR-10", "digits": "digits"}
COST: Final = 0.05
"""Least accuracy that a shortcut must cost for a share of it to be told."""
REDRAWS: Final = 1000
Row = Mapping[str, str]
Rows = Sequence[Row]
Condition = str
Cell = tuple[str, str]


class Cells(NamedTuple):
    """Accuracies by cell (kind and agreement) of the planted trainings of a domain, in decoupled or unmarked images."""

    of: dict[Cell, dict[Condition, float]]

    def share(self, condition: Condition, cells: Sequence[Cell]) -> float:
        """Return how much of what the shortcuts cost in these cells comes back: a ratio of sums."""
        gained = sum(self.of[cell][condition] - self.of[cell]["plain"] for cell in cells)
        return gained / sum(self.of[cell]["bound"] - self.of[cell]["plain"] for cell in cells)

    def with_interval(self, condition: Condition, cells: Sequence[Cell]) -> str:
        """Return the share with the interval that holds 95 % of redraws of the cells."""
        if not cells:
            return ""
        draw = random.Random(0)
        shares = sorted(self.share(condition, draw.choices(cells, k=len(cells))) for _ in range(REDRAWS))
        low, high = shares[REDRAWS * 25 // 1000], shares[REDRAWS * 975 // 1000 - 1]
        return f"{self.share(condition, cells):.2f} [{low:.2f}, {high:.2f}]"

    def holding(self, *conditions: Condition) -> list[Cell]:
        """List the cells that have these conditions, plain training and the bound, and where the shortcut costs."""
        return [
            cell
            for cell, values in self.of.items()
            if {"plain", "bound", *conditions} <= {*values} and values["bound"] - values["plain"] >= COST
        ]


def read(path: Path = TABLE) -> Rows:
    """Read the rows."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cells_of(rows: Rows, domain: str, column: str = "decoupled") -> Cells:
    """Group planted trainings of a domain, each with the bound of its kind and seed."""
    part = [row for row in rows if row["domain"] == domain and row["kind"] != "none" and row["control"] != LEGITIMATE]
    bounds = {(row["kind"], row["seed"]): float(row[column]) for row in part if row["condition"] == "bound"}
    cells: dict[Cell, dict[Condition, float]] = {}
    for row in part:
        if row["condition"] != "bound":
            values = cells.setdefault((row["kind"], row["agreement"]), {})
            values[row["condition"]] = float(row[column])
            if (row["kind"], row["seed"]) in bounds:
                values["bound"] = bounds[row["kind"], row["seed"]]
    return Cells(cells)


def table_of_cells(rows: Rows, domain: str = "cifar") -> str:
    """List accuracies on decoupled images by kind and agreement, and the cues that were swapped."""
    cells = cells_of(rows, domain)
    conditions = [
        name for name in ("plain", *SWAPS[1:], *RIVALS, "bound") if any(name in of for of in cells.of.values())
    ]
    lines = [
        f"| sign | agreement | {' | '.join(NAMES[name] for name in conditions)} | swapped after the alarm |",
        f"| --- | --- |{' --- |' * (len(conditions) + 1)}",
    ]
    for (kind, agreement), values in cells.of.items():
        accuracies = (f"{values[name]:.2f}" if name in values else "" for name in conditions)
        lines.append(
            f"| {_spaced(kind)} | {agreement} | {' | '.join(accuracies)} | {_swapped(rows, domain, kind, agreement)} |"
        )
    return "\n".join(lines)


def table_of_digits(rows: Rows) -> str:
    """List the same for digits."""
    return table_of_cells(rows, "digits")


def table_of_versions(rows: Rows) -> str:
    """List what the first version of the swap and this one bring back, with the mean of all cells."""
    before = {_key(row): row for row in read(FIRST)}
    bounds = {(row["domain"], row["kind"], row["seed"]): row for row in rows if row["condition"] == "bound"}
    plain = {_key(row): row for row in rows if row["condition"] == "plain"}
    lines = ["| images | sign | agreement | plain | first version | now | bound |", "| --- |" + " --- |" * 6]
    sums: dict[str, list[list[float]]] = {}
    for row in rows:
        bound = bounds.get((row["domain"], row["kind"], row["seed"]))
        if row["condition"] != "alarm" or bound is None or not {_key(row)} <= before.keys() & plain.keys():
            continue
        values = [float(each["decoupled"]) for each in (plain[_key(row)], before[_key(row)], row, bound)]
        sums.setdefault(row["domain"], []).append(values)
        cells = " | ".join(f"{value:.2f}" for value in values)
        lines.append(f"| {DOMAINS[row['domain']]} | {_spaced(row['kind'])} | {row['agreement']} | {cells} |")
    for domain, listed in sums.items():
        cells = " | ".join(f"{statistics.mean(column):.2f}" for column in zip(*listed, strict=True))
        lines.append(f"| {DOMAINS[domain]} | mean | | {cells} |")
    return "\n".join(lines)


def _key(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in ("domain", "control", "kind", "agreement", "seed"))


def table_of_shares(rows: Rows, domain: str = "cifar") -> str:
    """List how much of the lost accuracy each condition brings back, by agreement, on decoupled and unmarked images."""
    lines = [
        "| condition | agreement 1.0 | agreement 0.9 | agreement 0.8 | all | all, images without signs |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    decoupled, unmarked = (cells_of(rows, domain, column) for column in ("decoupled", "unmarked"))
    for name in (*SWAPS[1:], *RIVALS):
        cells = decoupled.holding(name)
        if not cells:
            continue
        by_agreement = (
            decoupled.with_interval(name, [cell for cell in cells if cell[1] == agreement])
            for agreement in ("1.0", "0.9", "0.8")
        )
        total = decoupled.with_interval(name, cells)
        other = unmarked.with_interval(name, unmarked.holding(name))
        lines.append(f"| {NAMES[name]} | {' | '.join(by_agreement)} | {total} | {other} |")
    return "\n".join(lines)


def table_of_rivals(rows: Rows, domain: str = "cifar") -> str:
    """Count in how many cells the swap after an alarm is better than each augmentation that needs no masks."""
    cells = cells_of(rows, domain)
    lines = ["| compared with | better in | mean difference |", "| --- | --- | --- |"]
    for name in ("plain", *RIVALS):
        both = [of for of in cells.of.values() if {name, "alarm"} <= {*of}]
        if both:
            gains = [of["alarm"] - of[name] for of in both]
            better = sum(gain > 0 for gain in gains)
            lines.append(f"| {NAMES[name]} | {better} of {len(both)} | {_mean_with_interval(gains)} |")
    full = [of for of in cells.of.values() if {*RIVALS, "alarm"} <= {*of}]
    best = sum(of["alarm"] > max(of[name] for name in RIVALS) for of in full)
    if full:
        gains = [of["alarm"] - max(of[name] for name in RIVALS) for of in full]
        lines.append(f"| the best of them in each cell | {best} of {len(full)} | {_mean_with_interval(gains)} |")
    return "\n".join(lines)


def table_of_clean(rows: Rows) -> str:
    """List accuracies on clean data with and without the alarm, and with other augmentations."""
    clean = [row for row in rows if row["kind"] == "none"]
    lines = ["| trained with | digits | CIFAR-10 |", "| --- | --- | --- |"]
    for condition in dict.fromkeys(row["condition"] for row in clean):
        means = []
        for domain in ("digits", "cifar"):
            values = [
                float(row["unmarked"]) for row in clean if (row["domain"], row["condition"]) == (domain, condition)
            ]
            means.append(f"{statistics.mean(values):.3f} ({len(values)})" if values else "")
        name = " and ".join(NAMES[part] for part in condition.split("+"))
        lines.append(f"| {name} | {' | '.join(means)} |")
    return "\n".join(lines)


def sentence_of_identity(rows: Rows) -> str:
    """Tell how many clean trainings that were watched had no alarm, and how many of these have the same weights."""
    clean = {(row["domain"], row["seed"], row["condition"]): row for row in rows if row["kind"] == "none"}
    watched = [(key, row) for key, row in clean.items() if key[2].endswith("alarm")]
    quiet = [(key, row) for key, row in watched if not row["after_alarm"]]
    same = 0
    for (domain, seed, condition), row in quiet:
        alone = clean[domain, seed, condition.removesuffix("alarm").removesuffix("+") or "plain"]
        same += alone["weights"] == row["weights"]
    return (
        f"In {len(quiet)} of {len(watched)} trainings on clean data no alarm was confirmed. "
        f"The weights of {same} of these {len(quiet)} are those of the same training without a callback, bit by bit."
    )


def table_of_legitimate(rows: Rows) -> str:
    """List accuracies where the sign is the class."""
    part = [row for row in rows if row["control"] == LEGITIMATE]
    conditions = list(dict.fromkeys(row["condition"] for row in part))
    lines = [
        f"| the class is | {' | '.join(NAMES[name] for name in conditions)} |",
        f"| --- |{' --- |' * len(conditions)}",
    ]
    for kind in dict.fromkeys(row["kind"] for row in part):
        groups = ([row for row in part if (row["kind"], row["condition"]) == (kind, name)] for name in conditions)
        cells = (", ".join(f"{float(row['unmarked']):.2f}" for row in group) for group in groups)
        lines.append(f"| the {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(rows: Rows) -> str:
    """Return one line for each kind: the mean accuracy on decoupled signs by condition."""
    kinds, conditions = (list(dict.fromkeys(row[key] for row in rows)) for key in ("kind", "condition"))
    lines = [f"{'decoupled':12}" + "".join(f"{condition:>9}" for condition in conditions)]
    for kind in kinds:
        means = []
        for condition in conditions:
            values = [float(row["decoupled"]) for row in rows if (row["kind"], row["condition"]) == (kind, condition)]
            means.append(f"{sum(values) / len(values):9.3f}" if values else " " * 9)
        lines.append(f"{kind:12}" + "".join(means))
    return "\n".join(lines)


def _mean_with_interval(values: Sequence[float]) -> str:
    draw = random.Random(0)
    means = sorted(statistics.mean(draw.choices(values, k=len(values))) for _ in range(REDRAWS))
    low, high = means[REDRAWS * 25 // 1000], means[REDRAWS * 975 // 1000 - 1]
    return f"{statistics.mean(values):+.2f} [{low:+.2f}, {high:+.2f}]"


def _swapped(rows: Rows, domain: str, kind: str, agreement: str) -> str:
    """Name the cues that were swapped after an alarm, with the epochs of the alarms."""
    key = (domain, kind, agreement, "alarm")
    for row in rows:
        if (row["domain"], row["kind"], row["agreement"], row["condition"]) == key and row["control"] != LEGITIMATE:
            return _spaced(", ".join(name.replace(":", " ") for name in row["after_alarm"].split())) or "nothing"
    return ""


def _spaced(name: str) -> str:
    return name.replace("_", " ")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=TABLE)
    rows = read(parser.parse_args().table)
    for domain in ("cifar", "digits"):
        print(f"{table_of_cells(rows, domain)}\n\n{table_of_shares(rows, domain)}\n\n{table_of_rivals(rows, domain)}\n")
    print(f"{table_of_clean(rows)}\n\n{sentence_of_identity(rows)}\n\n{table_of_legitimate(rows)}")
