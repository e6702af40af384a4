"""The table on top: where each method stands after the last evaluation."""

import math
from collections.abc import Iterable
from typing import Final

from lightning_saliency.report._clock import Clock
from lightning_saliency.report._html import Markup, element
from lightning_saliency.report._monitor import SINCE, Line, Monitor
from lightning_saliency.report._numbers import number, with_error

ERRORS: Final = "Last value ± one standard error."
MARGINS: Final = (
    " Below it, the margin over a control that knows no model, in standard errors (SE): "
    "above +2 the method does better than the control, below -2 worse, whatever the metric's direction."
)


def summary(monitor: Monitor, clock: Clock) -> Markup:
    """Write last scores, their margins over controls, and last drift, methods side by side."""
    methods = [*monitor.methods, *monitor.controls]
    head = element("tr", element("th", ""), *(element("th", method, scope="col") for method in methods))
    scores = [_row(metric, [_score(monitor, metric, method, clock) for method in methods]) for metric in monitor.scores]
    drift = [
        _row(f"drift: {measure}", [_cell(lines.get(method), monitor, clock) for method in methods])
        for (measure, since), lines in monitor.drift.items()
        if since == SINCE[""]
    ]
    counts = [
        _row(f"{kind} maps", [_count(lines.get(method)) for method in methods])
        for kind, lines in monitor.counts.items()
        if any(any(line.values.values()) for line in lines.values())
    ]
    body = element("tbody", *scores, *drift, *counts)
    table = element("table", element("thead", head), body, class_="summary")
    note = element("p", ERRORS + (MARGINS if monitor.margins else ""), class_="note")
    return element("div", table, note, class_="wide")


def _row(name: str, cells: Iterable[Markup]) -> Markup:
    return element("tr", element("th", name, scope="row"), *cells)


def _score(monitor: Monitor, metric: str, method: str, clock: Clock) -> Markup:
    margins = [
        _margin(control, lines[method])
        for (name, control), lines in monitor.margins.items()
        if name == metric and method in lines
    ]
    return _cell(monitor.scores[metric].get(method), monitor, clock, *margins)


def _cell(line: Line | None, monitor: Monitor, clock: Clock, *below: Markup) -> Markup:
    if line is None or not line.values:
        return element("td", "-", class_="none")
    step = max(line.values)
    # A value that the last evaluation did not have is said to be older.
    age = [] if step == max(monitor.steps) else [element("small", f"at {clock.axis([step]).label(step)}")]
    return element("td", with_error(line.values[step], line.errors.get(step)), *age, *below)


def _margin(control: str, line: Line) -> Markup:
    step = max(line.values)
    margin, error = line.values[step], line.errors.get(step, 0.0)
    if not (math.isfinite(margin) and math.isfinite(error) and error > 0):
        return element("small", f"{_signed(number(margin))} over {control}")
    ratio = margin / error
    style = "better" if ratio >= 2 else "worse" if ratio <= -2 else "alike"
    return element("small", f"{_signed(f'{ratio:.1f}')} SE over {control}", class_=style)


def _signed(text: str) -> str:
    return text if text.startswith("-") else f"+{text}"


def _count(line: Line | None) -> Markup:
    if line is None or not line.values:
        return element("td", "-", class_="none")
    last = line.values[max(line.values)]
    return element("td", f"{last:.0f}" if math.isfinite(last) else number(last))
