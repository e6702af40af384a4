"""The table of `docs/certainty.md`, from the rows that `certainty.py` wrote."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

TABLE: Final = Path(__file__).with_name("certainty.csv")


def read(path: Path = TABLE) -> list[dict[str, str]]:
    """Read the rows."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table_of_settings(rows: Sequence[Mapping[str, str]], part: str) -> str:
    """List standard errors and agreement with the default setting, for one part of the trainings."""
    lines = [
        "| setting | standard error of RCAP | of its margin | of E | same alarm | same gate | same sign of margin |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_line(row) for row in rows if row["part"] == part]
    return "\n".join(lines)


def _line(row: Mapping[str, str]) -> str:
    errors = ("guided_absolute_grad_rcap_stderr", "guided_absolute_grad_margin_stderr", "cue_stderr")
    shares = ("same_alarm", "same_guided_absolute_grad_bound", "same_guided_absolute_grad_margin")
    cells = [
        row["name"],
        *(f"{float(row[name]):.3f}" for name in errors),
        *(f"{float(row[name]):.0%}" for name in shares),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    for part in ("choice", "report"):
        print(f"{table_of_settings(read(), part)}\n")
