"""Tables of the study of metrics for the documents, from the rows that `metrics.py` and `confidence.py` wrote."""

import argparse
import csv
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

TABLE: Final = Path(__file__).with_name("metrics.csv")
CONFIDENCE: Final = Path(__file__).with_name("confidence.csv")
NETWORKS: Final = (
    "ResNet-20, CIFAR-10",
    "ResNet, textures",
    "MobileNet, textures",
    "ViT, textures",
    "EfficientNet-Lite0, ImageNet",
)
"""Networks that the rule counts. The others are only listed, and one that has no rows yet is left out."""
TRAININGS: Final = "trainings"
ENOUGH: Final = {"z": 3.0, "networks": 4, "order": 0.9, "confidence": 0.3}
"""Bounds for a default metric; fixed before the first row was written."""
CONTRASTS: Final = {
    "z_random": "z over random",
    "z_edges": "z over edges",
    "z_redrawn": "z over redrawn",
    "z_grid": "cell of a grid",
}
STABILITY: Final = {"order": "order", "halves": "halves", "seeds": "other noise"}
WAYS: Final = {
    "score": "score",
    "random_map": "score of a random map",
    "over_random": "margin over random",
    "over_edges": "margin over edges",
    "by_last": "by the last network",
}
Rows = Sequence[Mapping[str, str]]


def read(path: Path = TABLE) -> Rows:
    """Read the rows."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table_of_contrasts(rows: Rows, networks: Sequence[str] = NETWORKS) -> str:
    """List by how many standard errors every metric tells maps apart, one value a network."""
    lines = [
        f"| metric | {' | '.join(CONTRASTS.values())} | forwards |",
        f"|{' --- |' * (len(CONTRASTS) + 2)}",
    ]
    for metric in _metrics(rows):
        group = _of(rows, metric, networks)
        cells = [_cell(group, column) for column in CONTRASTS]
        lines.append(f"| `{metric}` | {' | '.join(cells)} | {float(group[0]['forwards']):.0f} |")
    return "\n".join(lines)


def table_of_stability(rows: Rows) -> str:
    """List rank correlations, and how many networks every metric wins on."""
    names = " | ".join(STABILITY.values())
    lines = [
        f"| metric | wins | {names} | other seeds | confidence | place of a sign |",
        f"|{' --- |' * (len(STABILITY) + 5)}",
    ]
    for metric in _metrics(rows):
        group = _of(rows, metric, NETWORKS)
        cells = [_cell(group, column) for column in STABILITY]
        trainings = _of_trainings(rows, metric)
        cells += [
            f"{float(trainings[name]):.2f}" if trainings.get(name) else "-" for name in ("retrained", "confidence")
        ]
        cells.append(f"{float(trainings['z_truth']):.1f}")
        lines.append(f"| `{metric}` | {wins(rows, metric)} of {len(group)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def table_of_confidence(rows: Rows) -> str:
    """List the mean correlations of scores with confidence over the epochs, with standard errors over trainings.

    In the last column signs do not cancel.
    """
    lines = [f"| metric | {' | '.join(WAYS.values())} | score, absolute |", f"|{' --- |' * (len(WAYS) + 2)}"]
    for metric in _metrics(rows):
        columns = {way: [float(row[way]) for row in rows if row["metric"] == metric] for way in WAYS}
        sizes = [abs(value) for value in columns["score"]]
        cells = [_mean_and_error(values) for values in (*columns.values(), sizes)]
        lines.append(f"| `{metric}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def trainings(rows: Rows) -> str:
    """Say what the correlations are over."""
    epochs = {row["network"]: int(row["epochs"]) for row in rows}.values()
    return f"{len(epochs)} trainings of {min(epochs)} to {max(epochs)} epochs"


def subjects(rows: Rows, networks: Sequence[str] = NETWORKS) -> str:
    """Name networks in the order of the tables' cells, with the number of images."""
    counts = {row["network"]: row["images"] for row in rows}
    return "; ".join(f"{name} ({counts[name]} images)" for name in networks if name in counts)


def others(rows: Rows) -> list[str]:
    """List the networks that the rule does not count."""
    return [name for name in dict.fromkeys(row["network"] for row in rows) if name not in (*NETWORKS, TRAININGS)]


def wins(rows: Rows, metric: str) -> int:
    """Count the networks on which real maps win over random ones and over edges."""
    return sum(min(float(row["z_random"]), float(row["z_edges"])) > ENOUGH["z"] for row in _of(rows, metric, NETWORKS))


def passing(rows: Rows) -> list[str]:
    """List the metrics that deserve to be a default by the rule that was fixed before."""
    return [metric for metric in _metrics(rows) if _passes(rows, metric)]


def verdict(rows: Rows) -> str:
    """Say which metrics pass."""
    names = ", ".join(f"`{name}`" for name in passing(rows))
    said = f"These pass: {names}." if names else "No metric passes."
    missing = [name for name in NETWORKS if name not in {row["network"] for row in rows}]
    if not missing:
        return said
    undecided = ", ".join(f"`{name}`" for name in undecided_metrics(rows)) or "no metric"
    return f"{said} Rows of {', '.join(missing)} are missing, and with them {undecided} could pass."


def in_words(rows: Rows, metric: str) -> str:
    """Summarise a metric for its docstring."""
    count = len(_of(rows, metric, NETWORKS))
    confidence = float(_of_trainings(rows, metric)["confidence"])
    return (
        f"real maps win over random ones and over edges on {wins(rows, metric)} of {count} networks, and the score "
        f"follows confidence by {confidence:.2f}"
    )


def undecided_metrics(rows: Rows) -> list[str]:
    """List the metrics that do not pass, and would if they won on the networks that have no rows."""
    return [
        metric
        for metric in _metrics(rows)
        if not _passes(rows, metric) and _passes(rows, metric, len(NETWORKS) - len(_of(rows, metric, NETWORKS)))
    ]


def _passes(rows: Rows, metric: str, granted: int = 0) -> bool:
    group = _of(rows, metric, NETWORKS)
    trainings = _of_trainings(rows, metric)
    is_complete = len(group) + granted == len(NETWORKS)
    orders = is_complete and all(float(row["order"]) >= ENOUGH["order"] for row in group)
    is_free = bool(trainings) and float(trainings["confidence"]) <= ENOUGH["confidence"]
    return wins(rows, metric) + granted >= ENOUGH["networks"] and orders and is_free


def _cell(rows: Rows, column: str) -> str:
    """List the values of networks; one that was not computed is a dash."""
    return ", ".join(f"{float(row[column]):.1f}" if row.get(column) else "-" for row in rows)


def _mean_and_error(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.2f} ({statistics.stdev(values) / len(values) ** 0.5:.2f})"


def _metrics(rows: Rows) -> list[str]:
    return list(dict.fromkeys(row["metric"] for row in rows))


def _of(rows: Rows, metric: str, networks: Sequence[str]) -> Rows:
    return [row for name in networks for row in rows if (row["network"], row["metric"]) == (name, metric)]


def _of_trainings(rows: Rows, metric: str) -> Mapping[str, str]:
    return next((row for row in rows if (row["network"], row["metric"]) == (TRAININGS, metric)), {})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--confidence", type=Path, default=CONFIDENCE)
    options = parser.parse_args()
    rows, confidence = read(options.table), read(options.confidence)
    for networks in (list(NETWORKS), others(rows)):
        print(f"{subjects(rows, networks)}\n\n{table_of_contrasts(rows, networks)}\n")
    print(f"{table_of_stability(rows)}\n\n{verdict(rows)}")
    print(f"\n{trainings(confidence)}\n\n{table_of_confidence(confidence)}")
