"""Tables of the study of metrics for the documents, from the rows that `metrics.py` wrote."""

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

TABLE: Final = Path(__file__).with_name("metrics.csv")
TRAININGS: Final = "trainings"
ENOUGH: Final = {"z": 3.0, "networks": 4, "order": 0.9, "confidence": 0.3}
"""Bounds for a default metric; fixed before the first row was written."""
Rows = Sequence[Mapping[str, str]]


def read(path: Path = TABLE) -> Rows:
    """Read the rows."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(rows: Rows) -> str:
    """List for every metric what it tells apart, by network where networks differ."""
    networks = _networks(rows)
    lines = [
        "| metric | z over random | z over edges | order | z over redrawn | halves | truth | confidence | forwards |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for metric in dict.fromkeys(row["metric"] for row in rows):
        of_networks = [row for name in networks for row in rows if (row["network"], row["metric"]) == (name, metric)]
        cells = [
            ", ".join(f"{float(row[column]):.{digits}f}" for row in of_networks)
            for column, digits in (("z_random", 1), ("z_edges", 1), ("order", 1), ("z_redrawn", 1), ("halves", 1))
        ]
        trainings = _of_trainings(rows, metric)
        cells += (
            [f"{float(trainings['z_truth']):.1f}", f"{float(trainings['confidence']):.2f}"] if trainings else ["", ""]
        )
        lines.append(f"| `{metric}` | {' | '.join(cells)} | {float(of_networks[0]['forwards']):.0f} |")
    return "\n".join(lines)


def subjects(rows: Rows) -> str:
    """Name the networks in the order of the table's cells, with the number of images."""
    counts = {name: next(row["images"] for row in rows if row["network"] == name) for name in _networks(rows)}
    return "; ".join(f"{name} ({count} images)" for name, count in counts.items())


def passing(rows: Rows) -> list[str]:
    """List the metrics that deserve to be a default by the rule that was fixed before."""
    return [metric for metric in dict.fromkeys(row["metric"] for row in rows) if _passes(rows, metric)]


def verdict(rows: Rows) -> str:
    """Say which metrics pass."""
    names = ", ".join(f"`{name}`" for name in passing(rows))
    return f"These pass: {names}." if names else "No metric passes."


def _passes(rows: Rows, metric: str) -> bool:
    of_networks = [row for row in rows if row["metric"] == metric and row["network"] != TRAININGS]
    trainings = _of_trainings(rows, metric)
    wins = sum(min(float(row["z_random"]), float(row["z_edges"])) > ENOUGH["z"] for row in of_networks)
    orders = all(float(row["order"]) >= ENOUGH["order"] for row in of_networks)
    is_free = bool(trainings) and float(trainings["confidence"]) <= ENOUGH["confidence"]
    return wins >= ENOUGH["networks"] and orders and is_free


def _networks(rows: Rows) -> list[str]:
    return [name for name in dict.fromkeys(row["network"] for row in rows) if name != TRAININGS]


def _of_trainings(rows: Rows, metric: str) -> Mapping[str, str]:
    return next((row for row in rows if (row["network"], row["metric"]) == (TRAININGS, metric)), {})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=TABLE)
    rows = read(parser.parse_args().table)
    print(f"{subjects(rows)}\n\n{table(rows)}\n\n{verdict(rows)}")
