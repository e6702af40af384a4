"""Rows of `evaluations.csv`, and what they add to the scalars of event files."""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, takewhile
from pathlib import Path
from typing import Final, TypeAlias

from lightning_saliency.names import EVALUATION_COLUMNS, PARTS, SCHEMA, evaluations_file, monitor_of, monitors_in
from lightning_saliency.report._files import DamagedTableError, NoPlainFileError, rows_of
from lightning_saliency.report._limits import LONGEST_TAG, MOST_ROWS, MOST_TAGS
from lightning_saliency.report._log import Scalars

Row = Mapping[str, str]
# The values and standard errors of every evaluation, by monitor.
Evaluations: TypeAlias = dict[str, list[dict[str, float]]]
# Event files hold single precision.
PRECISION: Final = 1e-6
# Evaluations of the same duration are rare.
MOST_STEPS: Final = 4


def read_evaluations(path: Path) -> dict[str, dict[str, Evaluations]]:
    """Read the table in a stream: evaluations by run, stage and monitor.

    Raises:
        OSError: If it cannot be read, or is no plain file.
        ValueError: If it is damaged or of another form.
    """
    monitors = monitors_in(dict.fromkeys(row["name"] for row in _rows(path)))
    runs: dict[str, dict[str, Evaluations]] = {}
    for row in _rows(path):
        stages = runs.setdefault(row["run"], {})
        monitor = monitor_of(row["name"], monitors)
        if monitor is None:
            continue
        evaluations = stages.setdefault(row["stage"], {}).setdefault(monitor, [])
        # The first value of an evaluation is its duration.
        if row["name"] == f"{monitor}/seconds":
            evaluations.append({})
        if evaluations:
            evaluations[-1].update(_values(row))
    return runs


def with_table(scalars: Mapping[str, Scalars], folder: Path, faults: list[str]) -> dict[str, Scalars]:
    """Add what the table beside event files has more than they: standard errors, and values that were not logged.

    An evaluation is known by its duration, which both have; loggers count steps in ways of their own.

    Args:
        scalars: Scalars of the event files by tag and step.
        folder: Folder of the event files.
        faults: Gets a sentence if the table cannot be read.
    """
    more: dict[str, dict[int, float]] = {}
    for monitor, evaluations in _trained(folder, faults):
        durations = _durations(scalars.get(f"{monitor}/seconds", {}))
        for values in evaluations:
            for step in _steps(values[f"{monitor}/seconds"], durations):
                for name, value in values.items():
                    if name in more or len(more) < MOST_TAGS:
                        more.setdefault(name, {})[step] = value
    return dict(scalars) | {name: _merged(scalars.get(name, {}), values) for name, values in more.items()}


def _trained(folder: Path, faults: list[str]) -> Iterator[tuple[str, list[dict[str, float]]]]:
    try:
        runs = read_evaluations(folder / evaluations_file())
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        text = str(error) if isinstance(error, NoPlainFileError | ValueError) else error.strerror
        faults.append(f"{text}, so values that only `{evaluations_file()}` has are missing.")
        return
    for stages in runs.values():
        for stage, monitors in stages.items():
            if stage != "test":
                yield from monitors.items()


def _durations(logged: Scalars) -> list[tuple[float, int]]:
    return sorted((seconds, step) for step, seconds in logged.items() if math.isfinite(seconds))


def _steps(seconds: float, durations: Sequence[tuple[float, int]]) -> Iterator[int]:
    """Find the steps of evaluations that took this long."""
    margin = abs(seconds) * PRECISION
    first = bisect_left(durations, seconds - margin, key=lambda pair: pair[0])
    near = takewhile(lambda pair: pair[0] <= seconds + margin, islice(durations, first, first + MOST_STEPS))
    return (step for _, step in near)


def _merged(logged: Scalars, more: Scalars) -> Scalars:
    values = {**more, **logged}
    return {step: values[step] for step in sorted(values)}


def _rows(path: Path) -> Iterator[Row]:
    rows = rows_of(path, path.parent, strict=True)
    try:
        columns = next(rows, [])
        if columns != [*EVALUATION_COLUMNS]:
            expected, actual = ", ".join(EVALUATION_COLUMNS), ", ".join(columns)[:200] or "none"
            raise ValueError(f"`{path.name}` must have the columns {expected}, but got {actual}")
        for number, row in enumerate(rows, start=2):
            yield _checked(row, number, f"`{path.name}`, line {number},")
    except DamagedTableError as error:
        raise ValueError(f"`{path.name}` must be a complete table, but got {error}") from None


def _checked(values: list[str], number: int, place: str) -> Row:
    if len(values) != len(EVALUATION_COLUMNS):
        raise ValueError(f"{place} must have {len(EVALUATION_COLUMNS)} values, but got another number")
    row = dict(zip(EVALUATION_COLUMNS, values, strict=True))
    if number > MOST_ROWS:
        raise ValueError(f"{place} must be at most the {MOST_ROWS:,}th, but got more")
    if len(row["name"]) > LONGEST_TAG:
        raise ValueError(f"{place} must have a name of at most {LONGEST_TAG} characters, but got {len(row['name'])}")
    if row["schema"] != str(SCHEMA):
        raise ValueError(f"{place} must have the schema {SCHEMA}, but got {row['schema'][:100]!r}")
    for column in ("value", "stderr"):
        if not _is_number(row[column]) and (row[column] or column == "value"):
            raise ValueError(f"{place} must have a number as {column}, but got {row[column][:100]!r}")
    return row


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
