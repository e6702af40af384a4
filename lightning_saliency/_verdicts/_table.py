"""From `evaluations.csv` to runs."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from lightning_saliency._verdicts._run import Run, Values
from lightning_saliency.names import EVALUATION_COLUMNS, PARTS, SCHEMA, Stage, monitor_of, monitors_in

Row = Mapping[str, str]


def runs_of_table(path: Path, name: str, stage: Stage) -> list[Run]:
    """Read the evaluations of every run in a table.

    Args:
        path: The table.
        name: Name of its folder.
        stage: The stage whose evaluations count.
    """
    try:
        rows = _rows(path)
    except (OSError, ValueError) as error:  # not valid text is a ValueError, too
        return [Run(name, fault=str(error))]
    runs = dict.fromkeys(row["run"] for row in rows)
    if not runs:
        return [Run(name, fault=f"`{path.name}` has no rows")]
    return [
        Run(f"{name} {run}", _by_monitor([row for row in rows if (row["run"], row["stage"]) == (run, stage)]))
        for run in runs
    ]


def _rows(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            rows: list[Row] = list(reader)
        except csv.Error as error:
            raise ValueError(
                f"`{path.name}` must be a complete table, but got line {reader.line_num}: {error}"
            ) from None
        columns = tuple(reader.fieldnames or ())
    if columns != EVALUATION_COLUMNS:
        expected, actual = ", ".join(EVALUATION_COLUMNS), ", ".join(columns) or "none"
        raise ValueError(f"`{path.name}` must have the columns {expected}, but got {actual}")
    for number, row in enumerate(rows, start=2):
        _check(row, f"`{path.name}`, line {number},")
    return rows


def _check(row: Row, place: str) -> None:
    if None in row or None in row.values():
        raise ValueError(f"{place} must have {len(EVALUATION_COLUMNS)} values, but got another number")
    if row["schema"] != str(SCHEMA):
        raise ValueError(f"{place} must have the schema {SCHEMA}, but got {row['schema']!r}")
    for column in ("value", "stderr"):
        if not _is_number(row[column]) and (row[column] or column == "value"):
            raise ValueError(f"{place} must have a number as {column}, but got {row[column]!r}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _by_monitor(rows: list[Row]) -> dict[str, list[Values]]:
    """Tell evaluations apart: the first value of each is its duration."""
    monitors = monitors_in(row["name"] for row in rows)
    evaluations: dict[str, list[dict[str, float]]] = {monitor: [] for monitor in monitors}
    for row in rows:
        monitor = monitor_of(row["name"], monitors)
        if monitor is None:
            continue
        if row["name"] == f"{monitor}/seconds":
            evaluations[monitor].append({})
        if evaluations[monitor]:
            evaluations[monitor][-1].update(_values(row))
    return {monitor: list(values) for monitor, values in evaluations.items()}


def _values(row: Row) -> Iterable[tuple[str, float]]:
    yield row["name"], float(row["value"])
    if row["stderr"]:
        yield row["name"] + PARTS["stderr"], float(row["stderr"])
