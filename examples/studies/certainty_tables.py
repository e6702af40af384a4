"""The tables of `docs/certainty.md`, from what `certainty.py`, `presets.py` and `preset_costs.py` wrote.

Run it to fill in those that stand between marks.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from papers_tables import filled

TABLE: Final = Path(__file__).with_name("certainty.csv")
DECISIONS: Final = Path(__file__).with_name("presets.csv")
COSTS: Final = Path(__file__).with_name("preset_costs.csv")
PAGE: Final = Path(__file__).parents[2] / "docs" / "certainty.md"
Rows = Sequence[Mapping[str, str]]


def read(path: Path = TABLE) -> list[dict[str, str]]:
    """Read the rows."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def texts() -> dict[str, str]:
    """Return what stands between the marks of the page, by their names."""
    settings, decisions = read(), read(DECISIONS)
    return {
        **{f"settings: {part}": table_of_settings(settings, part) for part in ("choice", "report")},
        **{f"presets: {part}": table_of_presets(decisions, part) for part in ("choice", "report", "added")},
        "costs": table_of_costs(read(COSTS)),
    }


def table_of_presets(rows: Rows, part: str) -> str:
    """List how often each candidate for a preset decides as the default does, for one part of the trainings."""
    chosen = [row for row in rows if row["part"] == part]
    lines = [
        f"| {chosen[0]['trainings']} trainings, {chosen[0]['without_signs']} without signs | evaluations | same gate "
        "| same alarm | from the second evaluation on | confirmed in | of these without signs |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in chosen:
        shares = (f"{float(row[name]):.0%}" for name in ("same_gate", "same_state", "same_state_later"))
        counts = (row["confirmed"], row["confirmed_without_signs"])
        lines.append(f"| {' | '.join([row['candidate'], row['evaluations'], *shares, *counts])} |")
    return "\n".join(lines)


def table_of_costs(rows: Rows) -> str:
    """List what an evaluation costs, and what share of the epochs that is."""
    lines = [
        "| monitor | one evaluation takes as long as training on | in every | of the epochs of CIFAR-10, at 64 px |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        images = float(row["training images that cost as much"].split()[0])
        every = {"1": "epoch", "4": "fourth epoch"}[row["evaluates every n-th epoch"]]
        lines.append(f"| {row['monitor']} | {images:,.0f} images | {every} | {row['of the epochs of CIFAR-10']} |")
    return "\n".join(lines)


def table_of_settings(rows: Rows, part: str) -> str:
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
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), texts()), encoding="utf-8")
