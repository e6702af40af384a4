"""The table of `docs/costs.md` on all methods and metrics, from the rows that `members.py` wrote."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

TABLE: Final = Path(__file__).with_name("members.csv")
NETWORKS: Final = {"tf_efficientnet_lite0": "EfficientNet-Lite0", "resnet50": "ResNet-50"}
LIMIT: Final = 1.25
Rows = Sequence[Mapping[str, str]]


def read(path: Path = TABLE) -> Rows:
    """Read the rows."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(rows: Rows, kind: str) -> str:
    """List the passes of every method or metric, and its time relative to their lower bound by network and run."""
    networks = [network for network in NETWORKS if network in {row["network"] for row in rows}]
    lines = [
        f"| {kind} | forwards, backwards per image | {' | '.join(NETWORKS[network] for network in networks)} |",
        f"| {' | '.join(['---'] * (2 + len(networks)))} |",
    ]
    for member in _members(rows, kind):
        runs = _runs(rows, member)
        cells = [", ".join(_cell(row) for row in runs if row["network"] == network) for network in networks]
        lines.append(f"| `{member}` | {_passes(runs[0])} | {' | '.join(cells)} |")
    return "\n".join(lines)


def above(rows: Rows, limit: float = LIMIT) -> list[str]:
    """List the members whose time exceeds this many times the lower bound in every run on some network."""
    return [
        member
        for member in sorted({row["member"] for row in rows})
        if any(min(ratios) > limit for ratios in _ratios(rows, member))
    ]


def _ratios(rows: Rows, member: str) -> list[list[float]]:
    """List the ratios of all runs, network after network."""
    runs = _runs(rows, member)
    networks = dict.fromkeys(row["network"] for row in runs)
    return [[float(row["ratio"]) for row in runs if row["network"] == network] for network in networks]


def _members(rows: Rows, kind: str) -> list[str]:
    return sorted({row["member"] for row in rows if row["kind"] == kind}, key=str.lower)


def _runs(rows: Rows, member: str) -> Rows:
    return [row for row in rows if row["member"] == member]


def _passes(row: Mapping[str, str]) -> str:
    return "none" if _has_none(row) else f"{row['forwards']}, {row['backwards']}"


def _cell(row: Mapping[str, str]) -> str:
    if _has_none(row):
        return f"{float(row['ms']):.0f} ms"
    ratio, low, high = (f"{float(row[name]):.2f}" for name in ("ratio", "low", "high"))
    return f"{ratio} ({low} to {high})"


def _has_none(row: Mapping[str, str]) -> bool:
    return row["forwards"] == row["backwards"] == "0"


if __name__ == "__main__":
    for kind in ("method", "metric"):
        print(f"{table(read(), kind)}\n")
    print(", ".join(above(read())))
