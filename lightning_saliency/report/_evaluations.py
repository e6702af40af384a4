"""Rows of `evaluations.csv`, and what they add to the scalars of event files."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from math import isclose
from pathlib import Path

from lightning_saliency.names import EVALUATION_COLUMNS, PARTS, SCHEMA, evaluations_file, monitor_of, monitors_in
from lightning_saliency.report._log import Scalars

Row = Mapping[str, str]
# Event files hold single precision.
PRECISION = 1e-6


def read_rows(path: Path) -> list[Row]:
    """Read the table.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is damaged or of another form.
    """
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


def evaluations_of(rows: Iterable[Row]) -> dict[str, list[dict[str, float]]]:
    """Return the values and standard errors of every evaluation by monitor: the first value of each is its duration."""
    rows = list(rows)
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
    return evaluations


def with_table(scalars: Mapping[str, Scalars], folder: Path) -> dict[str, Scalars]:
    """Add what the table beside event files has more than they: standard errors, and values that were not logged.

    An evaluation is known by its duration, which both have; loggers count steps in ways of their own.

    Args:
        scalars: Scalars of the event files by tag and step.
        folder: Folder of the event files.
    """
    path = folder / evaluations_file()
    try:
        rows = read_rows(path) if path.is_file() else []
    except (OSError, ValueError):
        rows = []
    more: dict[str, dict[int, float]] = {}
    for monitor, evaluations in evaluations_of(row for row in rows if row["stage"] != "test").items():
        durations = scalars.get(f"{monitor}/seconds", {})
        for values in evaluations:
            for step in _steps(values[f"{monitor}/seconds"], durations):
                for name, value in values.items():
                    more.setdefault(name, {})[step] = value
    return dict(scalars) | {name: _merged(scalars.get(name, {}), values) for name, values in more.items()}


def _steps(seconds: float, durations: Scalars) -> Iterator[int]:
    return (step for step, logged in durations.items() if isclose(seconds, logged, rel_tol=PRECISION))


def _merged(logged: Scalars, more: Scalars) -> Scalars:
    values = {**more, **logged}
    return {step: values[step] for step in sorted(values)}


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


def _values(row: Row) -> Iterator[tuple[str, float]]:
    yield row["name"], float(row["value"])
    if row["stderr"]:
        yield row["name"] + PARTS["stderr"], float(row["stderr"])
