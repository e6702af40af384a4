"""The runs side by side: their last values in one table, and their curves in the same charts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lightning_saliency.monitor.directions import direction_by_name
from lightning_saliency.names import LoggedName
from lightning_saliency.report._chart import Chart, chart
from lightning_saliency.report._clock import Clock
from lightning_saliency.report._legend import styles_of
from lightning_saliency.report._log import Log
from lightning_saliency.report._monitor import Line, Lines, monitors_of
from lightning_saliency.report._numbers import with_error

WIDTH = 520


@dataclass(frozen=True)
class Value:
    """The last value of a run, and whether it is the best among the runs."""

    text: str
    is_best: bool


@dataclass(frozen=True)
class RunRow:
    """A row of the table: the place of the run's section, its name, and a value for each column."""

    place: int
    name: str
    values: Sequence[Value | None]


@dataclass(frozen=True)
class Comparison:
    """Several runs.

    Attributes:
        columns: Names of scores.
        rows: Last values of each run.
        styles: Style classes by run.
        charts: A chart by score, with a line for each run.
    """

    columns: Sequence[str]
    rows: Sequence[RunRow]
    styles: Mapping[str, str]
    charts: Sequence[Chart]


def comparison(runs: Sequence[Log]) -> Comparison | None:
    """Compare the runs in which a monitor scored; nothing if there are fewer than two."""
    lines = {place: dict(_scores(run)) for place, run in enumerate(runs)}
    lines = {place: by_name for place, by_name in lines.items() if by_name}
    if len(lines) < 2:
        return None
    names = list(dict.fromkeys(name for by_name in lines.values() for name in by_name))
    best = {name: _best(name, [by_name[name] for by_name in lines.values() if name in by_name]) for name in names}
    titles = _titles(names)
    styles = styles_of([runs[place].name for place in lines], ())
    clocks = {runs[place].name: Clock.of(runs[place]) for place in lines}
    return Comparison(
        columns=[titles[name] for name in names],
        rows=[
            RunRow(place, runs[place].name, [_value(by_name.get(name), best[name]) for name in names])
            for place, by_name in lines.items()
        ],
        styles=styles,
        charts=[
            _overlay(
                titles[name],
                {runs[place].name: by_name[name] for place, by_name in lines.items() if name in by_name},
                clocks,
                styles,
            )
            for name in names
        ],
    )


def _scores(run: Log) -> Iterator[tuple[LoggedName, Line]]:
    """List the scores of methods, without those of controls."""
    for monitor in monitors_of(run):
        for metric, lines in monitor.scores.items():
            for method in monitor.methods:
                if lines.get(method, Line({})).values:
                    yield LoggedName(monitor.name, metric, method), lines[method]


def _titles(names: Sequence[LoggedName]) -> dict[LoggedName, str]:
    """Name scores, without the monitor if there is only one."""
    is_one = len({name.monitor for name in names}) == 1
    return {name: f"{name.quantity} of {name.method}" if is_one else str(name) for name in names}


def _last(line: Line) -> float:
    return line.values[max(line.values)]


def _best(name: LoggedName, lines: Sequence[Line]) -> float | None:
    """Return the best last value, where it is known which direction is better and there is a choice."""
    direction = direction_by_name(str(name), name.monitor)
    if direction is None or len(lines) < 2:
        return None
    return (max if direction else min)(map(_last, lines))


def _value(line: Line | None, best: float | None) -> Value | None:
    if line is None:
        return None
    return Value(with_error(_last(line), line.errors.get(max(line.values))), _last(line) == best)


def _overlay(title: str, lines: Lines, clocks: Mapping[str, Clock], styles: Mapping[str, str]) -> Chart:
    """Lay out the lines of all runs, over epochs if every run has them, else over steps."""
    axes = {run: clocks[run].axis(line.values) for run, line in lines.items()}
    if any(axis.unit != "epoch" for axis in axes.values()):
        return chart(title, lines, Clock({}), styles, width=WIDTH)
    moved = {run: _moved(line, axes[run].places) for run, line in lines.items()}
    epochs = {epoch: epoch for line in moved.values() for epoch in line.values}
    return chart(title, moved, Clock(epochs), styles, width=WIDTH)


def _moved(line: Line, places: Mapping[int, int]) -> Line:
    return Line(
        {places[step]: value for step, value in line.values.items()},
        {places[step]: error for step, error in line.errors.items() if step in places},
    )
