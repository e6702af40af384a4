"""The table of `docs/methods.md` on completeness by the number of steps, from the rows that `completeness.py` wrote."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Final

ROWS: Final = Path(__file__).with_name("completeness.csv")
METHODS: Final = {
    "guided_integrated_gradients": "`GuidedIntegratedGradients`",
    "expected_gradients": "`ExpectedGradients`",
}
Rows = Sequence[Mapping[str, str]]


def read(path: Path = ROWS) -> Rows:
    """Read the rows."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(rows: Rows) -> str:
    """List what is missing of the logits' changes, and the mean completeness gap with its standard error."""
    lines = [f"| steps or samples | {' | '.join(METHODS.values())} |", f"| --- {'| --- ' * len(METHODS)}|"]
    for steps in sorted({int(row["steps"]) for row in rows}):
        groups = [[row for row in rows if row["method"] == method and row["steps"] == str(steps)] for method in METHODS]
        lines.append(f"| {steps} | {' | '.join(_cell(group) for group in groups)} |")
    return "\n".join(lines)


def _cell(rows: Rows) -> str:
    missing, change, gaps = ([abs(float(row[name])) for row in rows] for name in ("missing", "change", "gap"))
    return f"{100 * sum(missing) / sum(change):.0f} %, {mean(gaps):.3f} ({stdev(gaps) / len(gaps) ** 0.5:.3f})"


if __name__ == "__main__":
    print(table(read()))
