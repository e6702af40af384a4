"""A run's section: where it stands, what the gate decided, charts, pictures, explanations, hyper-parameters."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from lightning_saliency.report._chart import Mark, chart
from lightning_saliency.report._clock import Clock
from lightning_saliency.report._gate import gate_table, gates_of, in_short, marks_of
from lightning_saliency.report._html import Markup, element
from lightning_saliency.report._legend import legend, styles_of
from lightning_saliency.report._log import Log
from lightning_saliency.report._markdown import markdown
from lightning_saliency.report._monitor import SINCE, Lines, Monitor, monitors_of, other_scalars
from lightning_saliency.report._numbers import day
from lightning_saliency.report._stepper import stepper
from lightning_saliency.report._summary import summary

DRIFTED: Final = "Images named drifted are those whose maps moved most since the previous evaluation."
NOTHING: Final = "Nothing could be read here."
NO_MONITOR: Final = "No SaliencyMonitor has logged here."


def run_section(key: str, log: Log) -> Markup:
    """Write everything about one run.

    Args:
        key: Distinguishes this section from all others of the page.
        log: What the run logged.
    """
    clock, monitors = Clock.of(log), monitors_of(log)
    gates = {gate: marks_of(log, gate, clock) for gate in gates_of(log)}
    facts = element("p", " · ".join(_facts(log, monitors, gates, clock)), class_="facts")
    names = [f": {monitor.name}" if len(monitors) > 1 else "" for monitor in monitors]
    parts = [element("h2", log.name), facts]
    for monitor, name in zip(monitors, names, strict=True):
        parts += [element("h3", f"Where it stands{name}"), summary(monitor, clock)]
    for gate in gates:
        parts += [element("h3", f"Gate: {gate}" if len(gates) > 1 else "Gate"), gate_table(log, gate, clock)]
    marks = [mark for decided in gates.values() for mark in decided]
    for place, (monitor, name) in enumerate(zip(monitors, names, strict=True)):
        parts += _details(f"{key}-{place}", name, monitor, marks, clock)
    if log.settings:
        parts.append(_folded("Hyper-parameters", _settings(log.settings)))
    others = other_scalars(log, monitors, gates)
    if others:
        inside = _charts({tag: {tag: line} for tag, line in others.items()}, clock)
        parts.append(_folded("Other values of the run", inside, shown=bool(monitors)))
    return element("section", *parts, id=key)


def _facts(log: Log, monitors: Sequence[Monitor], gates: Mapping[str, Sequence[Mark]], clock: Clock) -> Iterator[str]:
    if log.first is not None and day(log.first):
        yield day(log.first)
    if not monitors:
        yield NO_MONITOR if log.scalars or log.pictures or log.texts else NOTHING
        return
    steps = sorted({step for monitor in monitors for step in monitor.steps})
    axis = clock.axis(steps)
    yield f"{_counted(len(steps), 'evaluation')}, the last at {axis.label(steps[-1])}"
    for gate, marks in gates.items():
        yield in_short(gate, marks)
    spent = [seconds for monitor in monitors for seconds in monitor.costs["seconds"].values.values()]
    yield f"{sum(filter(math.isfinite, spent)):.0f} s spent on explanations"


def _details(key: str, name: str, monitor: Monitor, marks: Sequence[Mark], clock: Clock) -> Iterator[Markup]:
    styles = styles_of(monitor.methods, monitor.controls)
    watched = {method: style for method, style in styles.items() if method in monitor.methods}
    if monitor.scores:
        yield element("h3", f"Scores{name}")
        yield legend(styles, gate=bool(marks))
        yield _charts(monitor.scores, clock, styles, marks=marks)
    if monitor.margins:
        margins = {f"{metric} over {control}": lines for (metric, control), lines in monitor.margins.items()}
        yield element("h3", f"Margins over controls{name}")
        yield element("p", "Positive is better, whatever the metric's direction.", class_="note")
        yield legend(watched, gate=False)
        yield _charts(margins, clock, styles, zero=True)
    if monitor.drift:
        measures = dict.fromkeys(measure for measure, _ in monitor.drift)
        places = [(measure, since) for measure in measures for since in SINCE.values()]
        drift = {" ".join(place): monitor.drift[place] for place in places if place in monitor.drift}
        yield element("h3", f"Drift{name}")
        yield element("p", "How alike maps are to earlier ones: 1 is no change, for center_shift 0.", class_="note")
        yield legend(watched, gate=False)
        yield _charts(drift, clock, styles, narrow=len(drift) > 2)
    if monitor.curves:
        yield element("h3", f"Curves behind the scores{name}")
        curves = enumerate(monitor.curves.items())
        drawn = [stepper(f"{key}-curve-{place}", metric, {"": found}, clock) for place, (metric, found) in curves]
        yield element("div", *drawn, class_="charts")
    if monitor.strips:
        yield element("h3", f"Explanations{name}")
        yield element("p", DRIFTED, class_="note")
        for place, (title, by_method) in enumerate(monitor.strips.items()):
            yield stepper(f"{key}-strip-{place}", title, by_method, clock)
    if monitor.card:
        yield _folded(f"What the scores mean{name}", element("div", markdown(monitor.card), class_="card wide"))


def _charts(
    tables: Mapping[str, Lines],
    clock: Clock,
    styles: Mapping[str, str] | None = None,
    *,
    marks: Sequence[Mark] = (),
    zero: bool = False,
    narrow: bool = False,
) -> Markup:
    width = 340 if narrow else 520
    drawn = [
        chart(title, lines, clock, styles or {}, marks=marks, zero=zero, width=width) for title, lines in tables.items()
    ]
    return element("div", *drawn, class_="charts narrow" if narrow else "charts")


def _folded(title: str, inside: Markup, *, shown: bool = False) -> Markup:
    return element("details", element("summary", title), inside, open=shown)


def _settings(settings: Mapping[str, str]) -> Markup:
    rows = [
        element("tr", element("th", name, scope="row"), element("td", element("pre", value)))
        for name, value in settings.items()
    ]
    return element("div", element("table", element("tbody", *rows), class_="settings"), class_="wide")


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
