"""The values and pictures of a monitor, sorted by their tags."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from lightning_saliency.names import (
    CONFLICT,
    CUES,
    CURVES,
    SINCE,
    WORST,
    LoggedName,
    Since,
    alarm_name,
    card_name,
    monitors_in,
    passed_name,
)
from lightning_saliency.report._log import Log, Pictures, Scalars

Entry = TypeVar("Entry")
TITLES: Final[dict[Since, str]] = {since: f"since the {since}" for since in SINCE}


@dataclass(frozen=True)
class Line:
    """A value over steps.

    Attributes:
        values: Values by step.
        errors: Their standard errors, if logged.
    """

    values: Scalars
    errors: Scalars = field(default_factory=dict)


Lines = dict[str, Line]


@dataclass(frozen=True)
class Monitor:
    """The log of one monitor.

    Attributes:
        name: Its prefix.
        steps: Steps of its evaluations.
        costs: Lines by name: seconds and the like.
        scores: Lines by metric and method.
        margins: Lines by (metric, control) and method.
        drift: Lines by (measure, earlier evaluation) and method.
        counts: Lines of invalid and blank maps, by kind and method.
        cues: Lines by cue.
        alarms: The line of the alarm's states, by its name.
        transplants: Pictures by cue.
        alarm: The last sentence about an alarm.
        strips: Pictures by place and method.
        curves: Pictures by metric.
        card: Markdown that explains it.
    """

    name: str
    steps: tuple[int, ...]
    costs: Lines = field(default_factory=dict)
    scores: dict[str, Lines] = field(default_factory=dict)
    margins: dict[tuple[str, str], Lines] = field(default_factory=dict)
    drift: dict[tuple[str, str], Lines] = field(default_factory=dict)
    counts: dict[str, Lines] = field(default_factory=dict)
    cues: Lines = field(default_factory=dict)
    alarms: Lines = field(default_factory=dict)
    transplants: dict[str, Pictures] = field(default_factory=dict)
    alarm: str = ""
    strips: dict[str, dict[str, Pictures]] = field(default_factory=dict)
    curves: dict[str, Pictures] = field(default_factory=dict)
    card: str = ""

    @property
    def methods(self) -> list[str]:
        """Methods that are watched: the monitor counts their faulty maps."""
        return list(dict.fromkeys(method for lines in self.counts.values() for method in lines))

    @property
    def controls(self) -> list[str]:
        """Methods that are scored for comparison only."""
        scored = dict.fromkeys(method for lines in self.scores.values() for method in lines)
        return [method for method in scored if method not in self.methods]


def monitors_of(log: Log) -> list[Monitor]:
    """Return the monitors of a run."""
    names = monitors_in(log.scalars)
    return [
        _monitor(name, log, tuple(f"{other}/" for other in names if other.startswith(f"{name}/"))) for name in names
    ]


def other_scalars(log: Log, monitors: list[Monitor], gates: Iterable[str]) -> Lines:
    """Return the scalars of others, without counters."""
    # Lightning logs -1 as `hp_metric` if the user chose none.
    counters = {"epoch", "hp_metric", *(passed_name(gate) for gate in gates)}
    prefixes = tuple(f"{monitor.name}/" for monitor in monitors)
    return {
        tag: Line(values)
        for tag, values in log.scalars.items()
        if tag not in counters and not (prefixes and tag.startswith(prefixes))
    }


def _monitor(name: str, log: Log, inside: tuple[str, ...]) -> Monitor:
    seconds = log.scalars[str(LoggedName(name, "seconds"))]
    monitor = Monitor(
        name,
        tuple(seconds),
        card=_last(log.texts.get(card_name(name), {})),
        alarm=_last(log.texts.get(alarm_name(name), {})),
    )
    for tag, values in _of_monitor(name, log.scalars, inside):
        value = LoggedName.parse(tag, name)
        if value is not None and value.stage == "fit" and value.part == "value":
            _add(monitor, value, Line(values, log.scalars.get(str(value.of("stderr")), {})))
    for tag, pictures in _of_monitor(name, log.pictures, inside):
        group, _, place = tag.removeprefix(f"{name}/").rpartition("/")
        if group == CURVES:
            monitor.curves[place] = pictures
        elif group == CUES:
            monitor.transplants[place] = pictures
        elif group:
            monitor.strips.setdefault(place, {})[group] = pictures
    return monitor


def _of_monitor(name: str, tags: Mapping[str, Entry], inside: tuple[str, ...]) -> Iterator[tuple[str, Entry]]:
    """Pick the tags of a monitor, without those of a monitor with a longer name."""
    for tag, entry in tags.items():
        if tag.startswith(f"{name}/") and not tag.startswith(inside):
            yield tag, entry


def _add(monitor: Monitor, name: LoggedName, line: Line) -> None:
    if name.kind == "cost":
        monitor.costs[name.quantity] = line
    elif name.kind == "alarm":
        monitor.alarms[name.quantity] = line
    elif name.kind == "cue":
        # The cells of the grid are a picture.
        if not (name.quantity.endswith((WORST, CONFLICT)) or name.quantity.startswith("cell_")):
            monitor.cues[name.quantity] = line
    elif name.kind == "count":
        monitor.counts.setdefault(name.quantity, {})[name.method] = line
    elif name.kind == "margin":
        monitor.margins.setdefault((name.quantity, name.control), {})[name.method] = line
    elif name.since is not None:
        monitor.drift.setdefault((name.quantity, TITLES[name.since]), {})[name.method] = line
    else:
        monitor.scores.setdefault(name.quantity, {})[name.method] = line


def _last(texts: Mapping[int, str]) -> str:
    return texts[max(texts)] if texts else ""
