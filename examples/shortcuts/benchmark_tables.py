"""Tables of the alarm's benchmark for the documents, from the rows that `benchmark.py` wrote."""

import argparse
import csv
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from bundled import auc
from scipy.stats import spearmanr

TABLE: Final = Path(__file__).with_name("benchmark.csv")
RIVALS: Final = {
    "excess": "the alarm's largest excess",
    "val_accuracy": "validation accuracy",
    "property": "label from one property of the image",
    "rcap": "RCAP",
    "class_sensitivity": "class sensitivity",
    "map_agreement": "agreement of maps of a class",
    "eigengap": "eigengap of the maps",
}
GROUPS: Final[dict[str, Callable[[Mapping[str, str]], bool]]] = {
    "digits, other seeds": lambda row: row["domain"] == "digits",
    "CIFAR-10, other seeds": lambda row: row["domain"] == "cifar" and row["network"] != "resnet20",
    "four and five classes of CIFAR-10": lambda row: row["domain"] in ("animals", "vehicles"),
    "two classes of CIFAR-10": lambda row: row["domain"] == "pair" and row["network"] != "resnet20",
    "trained ResNet-20, fine-tuned": lambda row: row["network"] == "resnet20",
    "EfficientNet-Lite0 at 112 px, fine-tuned": lambda row: row["network"] == "lite0",
    "kinds that the study had not": lambda row: row["new_kind"] == "1",
    "all of these": lambda row: True,
}
FALLS: Final = (0.2, 0.3, 0.5, 1.0)
TRUTHS: Final = ("shortcut", "honest")
Rows = Sequence[Mapping[str, str]]


def read(path: Path = TABLE) -> Rows:
    """Read the rows."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table_of_groups(rows: Rows) -> str:
    """List what was found and what is false, with the trainings that bounds were chosen on in the first line."""
    chosen = [row for row in rows if row["chosen_on"] == "1"]
    later = [row for row in rows if row["chosen_on"] == "0"]
    lines = [
        "| trainings | found | false | AUC | right family | first alarm | correlation with the fall |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        _line("bounds chosen on these", chosen),
        *(_line(name, part) for name, holds in GROUPS.items() if (part := [row for row in later if holds(row)])),
    ]
    return "\n".join(lines)


def table_of_rivals(rows: Rows) -> str:
    """Compare how well numbers order the trainings that nothing was chosen on."""
    later = [row for row in rows if row["chosen_on"] == "0"]
    lines = ["| number | AUC | found at most 5 % false |", "| --- | --- | --- |"]
    for column, name in RIVALS.items():
        shortcuts, honest = (_values(later, truth, column) for truth in ("shortcut", "honest"))
        bound = sorted(honest)[-1 - int(0.05 * len(honest))]
        number = sum(value > bound for value in shortcuts)
        lines.append(f"| {name} | {_auc_with_interval(shortcuts, honest)} | {number} of {len(shortcuts)} |")
    return "\n".join(lines)


def table_of_kinds(rows: Rows) -> str:
    """List by kind of sign how many were found, of those that nothing was chosen on."""
    later = [row for row in rows if row["chosen_on"] == "0" and row["truth"] == "shortcut"]
    kinds = dict.fromkeys(row["kind"] for row in later)
    counts = {kind: [_is_confirmed(row) for row in later if row["kind"] == kind] for kind in kinds}
    parts = (f"{kind} {sum(alarms)} of {len(alarms)}" for kind, alarms in sorted(counts.items()))
    return ", ".join(parts).replace("_", " ")


def table_of_falls(rows: Rows) -> str:
    """List how many were found by how much they lose when the sign no longer tells the class."""
    later = [row for row in rows if row["chosen_on"] == "0" and row["truth"] == "shortcut"]
    lines = ["| fall in accuracy | trainings | confirmed | suspected at least once |", "| --- | --- | --- | --- |"]
    for lowest, highest in pairwise(FALLS):
        part = [row for row in later if lowest < float(row["fall"]) <= highest]
        suspected = sum(max(row["states"]) != "0" for row in part)
        lines.append(f"| {lowest} to {highest} | {len(part)} | {sum(map(_is_confirmed, part))} | {suspected} |")
    return "\n".join(lines)


def sentence_of_all(rows: Rows) -> str:
    """Say what is found and what is false, of those that nothing was chosen on."""
    later = [row for row in rows if row["chosen_on"] == "0"]
    confirmed, false = ([*map(_is_confirmed, (row for row in later if row["truth"] == truth))] for truth in TRUTHS)
    return (
        f"of {len(confirmed)} networks with a planted shortcut, trained after the rule was frozen, it finds "
        f"{sum(confirmed)}, and of {len(false)} honest ones it suspects {sum(false) or 'none'} for two evaluations in "
        "a row"
    )


def _line(name: str, rows: Rows) -> str:
    shortcuts = [row for row in rows if row["truth"] == "shortcut"]
    honest = [row for row in rows if row["truth"] == "honest"]
    caught = [row for row in shortcuts if _is_confirmed(row)]
    false = sum(map(_is_confirmed, honest))
    right = sum(int(row["right_family"]) for row in caught)
    epochs = [1 + [*map(int, row["states"].split()), 1].index(1) for row in caught]
    median = f"epoch {statistics.median(epochs):g}" if epochs else ""
    columns = ([float(row[column]) for row in rows] for column in ("excess", "fall"))
    correlation = f"{spearmanr(*columns).statistic:.2f}" if shortcuts else ""
    ordered = _auc_with_interval(*(_values(rows, truth, "excess") for truth in ("shortcut", "honest")))
    return (
        f"| {name} | {len(caught)} of {len(shortcuts)} | {false} of {len(honest)} | {ordered} | "
        f"{right} of {len(caught)} | {median} | {correlation} |"
    )


def _is_confirmed(row: Mapping[str, str]) -> bool:
    return "2" in row["states"]


def _values(rows: Rows, truth: str, column: str) -> list[float]:
    return [float(row[column]) for row in rows if row["truth"] == truth]


def _auc_with_interval(positives: Sequence[float], negatives: Sequence[float]) -> str:
    """Return the area with the interval that holds 95 % of redraws."""
    if not (positives and negatives):
        return ""
    draw = random.Random(0)
    areas = sorted(
        auc(draw.choices(positives, k=len(positives)), draw.choices(negatives, k=len(negatives))) for _ in range(400)
    )
    return f"{auc(positives, negatives):.2f} [{areas[10]:.2f}, {areas[389]:.2f}]"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=TABLE)
    rows = read(parser.parse_args().table)
    for make in (table_of_groups, table_of_falls, table_of_rivals, table_of_kinds, sentence_of_all):
        print(make(rows), end="\n\n")
