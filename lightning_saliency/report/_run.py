"""A run's section: where it stands, gate decisions, charts, pictures, explanations, hyper-parameters."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lightning_saliency.report._chart import Chart, Mark, chart
from lightning_saliency.report._classes import ClassTable, class_tables
from lightning_saliency.report._clock import Clock
from lightning_saliency.report._gate import GateTable, gate_table, gates_of, in_short, marks_of
from lightning_saliency.report._legend import styles_of
from lightning_saliency.report._limits import MOST_CHARTS, LeftOut
from lightning_saliency.report._log import ImageScores, Log
from lightning_saliency.report._markdown import markdown
from lightning_saliency.report._monitor import TITLES, Lines, Monitor, monitors_of, other_scalars
from lightning_saliency.report._numbers import day
from lightning_saliency.report._pictures import Room
from lightning_saliency.report._stepper import Stepper, stepper
from lightning_saliency.report._summary import Summary, summary

WIDTH, NARROW_WIDTH = 520, 340


@dataclass(frozen=True)
class Details:
    """The log of one monitor, laid out.

    Attributes:
        name: The monitor's prefix.
        summary: Where it stands.
        styles: Style classes by method and control.
        watched: Style classes by method.
        scores: A chart by metric.
        margins: A chart by metric and control.
        drift: A chart by measure and earlier evaluation.
        alarm: The last sentence about a cue that the network follows.
        followed: A chart of the alarm, and one of all cues.
        cues: Style classes by cue.
        transplants: A stepper by cue.
        curves: A stepper by metric.
        strips: A stepper by image.
        classes: A table by metric.
        card: Meaning of the scores.
    """

    name: str
    summary: Summary
    styles: Mapping[str, str]
    watched: Mapping[str, str]
    scores: Sequence[Chart]
    margins: Sequence[Chart]
    drift: Sequence[Chart]
    alarm: Markup | None
    followed: Sequence[Chart]
    cues: Mapping[str, str]
    transplants: Sequence[Stepper]
    curves: Sequence[Stepper]
    strips: Sequence[Stepper]
    classes: Sequence[ClassTable]
    card: Markup | None


@dataclass(frozen=True)
class Section:
    """Everything about one run.

    Attributes:
        name: The run's name.
        facts: A few words about it.
        notes: Sentences on what is missing.
        gates: The gates' decisions.
        monitors: The monitors' values and pictures.
        settings: Hyper-parameters by name.
        others: Charts of what others logged.
    """

    name: str
    facts: Sequence[str]
    notes: Sequence[str]
    gates: Sequence[GateTable]
    monitors: Sequence[Details]
    settings: Mapping[str, str]
    others: Sequence[Chart]


def section_of(log: Log, room: Room) -> Section:
    """Lay out one run, with the pictures that there is room for."""
    clock, monitors = Clock.of(log), monitors_of(log)
    gates = {gate: marks_of(log, gate, clock) for gate in gates_of(log)}
    marks = [mark for decisions in gates.values() for mark in decisions]
    others = other_scalars(log, monitors, gates)
    left_out = LeftOut()
    left_out.add("charts of other values", len(others) - len(list(others)[:MOST_CHARTS]))
    return Section(
        name=log.name,
        facts=list(_facts(log, monitors, gates, clock)),
        notes=[*log.notes, *left_out.sentences],
        gates=[gate_table(log, gate, clock) for gate in gates],
        monitors=[
            _details(monitor, log.scores.get(monitor.name, ImageScores()), marks, clock, room) for monitor in monitors
        ],
        settings=log.settings,
        others=[chart(tag, {tag: line}, clock, {}, width=WIDTH) for tag, line in list(others.items())[:MOST_CHARTS]],
    )


def _facts(log: Log, monitors: Sequence[Monitor], gates: Mapping[str, Sequence[Mark]], clock: Clock) -> Iterator[str]:
    if log.first is not None and day(log.first):
        yield day(log.first)
    if not monitors:
        is_empty = not (log.scalars or log.pictures or log.texts)
        yield "Nothing could be read here." if is_empty else "No SaliencyMonitor has logged here."
        return
    steps = sorted({step for monitor in monitors for step in monitor.steps})
    yield f"{len(steps)} evaluation{'' if len(steps) == 1 else 's'}, the last at {clock.axis(steps).label(steps[-1])}"
    for gate, marks in gates.items():
        yield in_short(gate, marks)
    seconds = [value for monitor in monitors for value in monitor.costs["seconds"].values.values()]
    yield f"{sum(filter(math.isfinite, seconds)):.0f} s spent on explanations"


def _details(monitor: Monitor, scores: ImageScores, marks: Sequence[Mark], clock: Clock, room: Room) -> Details:
    styles = styles_of(monitor.methods, monitor.controls)
    return Details(
        name=monitor.name,
        summary=summary(monitor, clock),
        styles=styles,
        watched={method: styles[method] for method in monitor.methods},
        scores=[
            chart(metric, lines, clock, styles, marks=marks, width=WIDTH) for metric, lines in monitor.scores.items()
        ],
        margins=[
            chart(f"{metric} over {control}", lines, clock, styles, zero=True, width=WIDTH)
            for (metric, control), lines in monitor.margins.items()
        ],
        drift=_drift(monitor, clock, styles),
        alarm=markdown(monitor.alarm) if monitor.alarm else None,
        followed=_followed(monitor, clock, marks),
        cues=styles_of(monitor.cues, ()),
        transplants=[stepper(cue, {"": pictures}, clock, room) for cue, pictures in monitor.transplants.items()],
        curves=[stepper(metric, {"": pictures}, clock, room) for metric, pictures in monitor.curves.items()],
        strips=[stepper(title, by_method, clock, room) for title, by_method in monitor.strips.items()],
        classes=class_tables(monitor, scores),
        card=markdown(monitor.card) if monitor.card else None,
    )


def _followed(monitor: Monitor, clock: Clock, marks: Sequence[Mark]) -> list[Chart]:
    """Lay out the alarm, and how much each cue is followed."""
    charts = [chart("alarm", monitor.alarms, clock, {}, marks=marks, zero=True, width=WIDTH)] if monitor.alarms else []
    if monitor.cues:
        charts.append(chart("cues followed", monitor.cues, clock, styles_of(monitor.cues, ()), zero=True, width=WIDTH))
    return charts


def _drift(monitor: Monitor, clock: Clock, styles: Mapping[str, str]) -> list[Chart]:
    """Lay out the measures one after the other, each against all earlier evaluations, in small if there are many."""
    measures = dict.fromkeys(measure for measure, _ in monitor.drift)
    tables: dict[str, Lines] = {
        f"{measure} {since}": monitor.drift[measure, since]
        for measure in measures
        for since in TITLES.values()
        if (measure, since) in monitor.drift
    }
    width = NARROW_WIDTH if len(tables) > 2 else WIDTH
    return [chart(title, lines, clock, styles, width=width) for title, lines in tables.items()]
