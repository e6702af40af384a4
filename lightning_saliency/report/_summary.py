"""The table on top: where each method stands after the last evaluation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightning_saliency.report._clock import Clock
from lightning_saliency.report._monitor import TITLES, Line, Monitor
from lightning_saliency.report._numbers import number, with_error

# A small line below a value, and the class that colours it.
Note = tuple[str, str]


@dataclass(frozen=True)
class Cell:
    """A value with notes below it; `None` where nothing was logged."""

    text: str | None
    notes: Sequence[Note] = ()


@dataclass(frozen=True)
class Summary:
    """Scores, drift measures and counts by name, each with a cell for every method."""

    methods: Sequence[str]
    rows: Mapping[str, Sequence[Cell]]
    has_margins: bool


def summary(monitor: Monitor, clock: Clock) -> Summary:
    """Collect last scores, their margins over controls, and last drift."""
    methods = [*monitor.methods, *monitor.controls]
    rows = {metric: [_score(monitor, metric, method, clock) for method in methods] for metric in monitor.scores}
    rows |= {
        f"drift: {measure}": [_cell(lines.get(method), monitor, clock) for method in methods]
        for (measure, since), lines in monitor.drift.items()
        if since == TITLES["previous"]
    }
    rows |= {
        f"{kind} maps": [_count(lines.get(method)) for method in methods]
        for kind, lines in monitor.counts.items()
        if any(any(line.values.values()) for line in lines.values())
    }
    return Summary(methods, rows, bool(monitor.margins))


def _score(monitor: Monitor, metric: str, method: str, clock: Clock) -> Cell:
    margins = [
        _margin(control, lines[method])
        for (name, control), lines in monitor.margins.items()
        if name == metric and method in lines
    ]
    return _cell(monitor.scores[metric].get(method), monitor, clock, *margins)


def _cell(line: Line | None, monitor: Monitor, clock: Clock, *notes: Note) -> Cell:
    if line is None or not line.values:
        return Cell(None)
    step = max(line.values)
    # The reader must see that a value is older than the last evaluation.
    age = [] if step == max(monitor.steps) else [(f"at {clock.axis([step]).label(step)}", "")]
    return Cell(with_error(line.values[step], line.errors.get(step)), [*age, *notes])


def _margin(control: str, line: Line) -> Note:
    step = max(line.values)
    margin, error = line.values[step], line.errors.get(step, 0.0)
    if not (math.isfinite(margin) and math.isfinite(error) and error > 0):
        return f"{_signed(number(margin))} over {control}", ""
    ratio = margin / error
    style = "better" if ratio >= 2 else "worse" if ratio <= -2 else "alike"
    return f"{_signed(f'{ratio:.1f}')} SE over {control}", style


def _signed(text: str) -> str:
    return text if text.startswith("-") else f"+{text}"


def _count(line: Line | None) -> Cell:
    if line is None or not line.values:
        return Cell(None)
    last = line.values[max(line.values)]
    return Cell(f"{last:.0f}" if math.isfinite(last) else number(last))
