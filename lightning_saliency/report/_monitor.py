"""What a monitor logged, sorted out by its tags."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lightning_saliency.report._log import Log, Pictures, Scalars

STDERR: Final = "_stderr"
SINCE: Final = {"": "since the previous", "_first": "since the first", "_best": "since the best"}
CONTROLS: Final = ("random", "edges")
COSTS: Final = ("seconds", "fraction_of_epoch", "used")
CURVES: Final = "curves"


@dataclass(frozen=True)
class Line:
    """A value over steps.

    Attributes:
        values: Values by step.
        errors: Their standard errors, where known.
    """

    values: Scalars
    errors: Scalars = field(default_factory=dict)


Lines = dict[str, Line]


@dataclass(frozen=True)
class Monitor:
    """What one monitor logged.

    Attributes:
        name: Its prefix.
        steps: When it evaluated.
        costs: Lines by name: seconds and the like.
        scores: Lines by metric and method.
        margins: Lines by (metric, control) and method.
        drift: Lines by (measure, since when) and method.
        counts: Lines of invalid and blank maps, by kind and method.
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
    strips: dict[str, dict[str, Pictures]] = field(default_factory=dict)
    curves: dict[str, Pictures] = field(default_factory=dict)
    card: str = ""

    @property
    def controls(self) -> list[str]:
        """Methods that know no model, in the order of their names' appearance."""
        named = {control for _, control in self.margins}
        return [method for method in self._all if method in named or method in CONTROLS]

    @property
    def methods(self) -> list[str]:
        """Methods that are watched."""
        return [method for method in self._all if method not in self.controls]

    @property
    def _all(self) -> list[str]:
        tables = (self.counts, self.scores, self.margins, self.drift, self.strips)
        return list(dict.fromkeys(method for table in tables for found in table.values() for method in found))


def monitors_of(log: Log) -> list[Monitor]:
    """Find the monitors of a run: what logged `<name>/seconds`, and something of a method."""
    names = [tag.removesuffix("/seconds") for tag in log.scalars if tag.endswith("/seconds")]
    found = [_monitor(name, log) for name in names]
    return [monitor for monitor in found if monitor.methods]


def other_scalars(log: Log, monitors: list[Monitor]) -> Lines:
    """Return what others logged, but for counters."""
    prefixes = tuple(f"{monitor.name}/" for monitor in monitors)
    return {
        tag: Line(values)
        for tag, values in log.scalars.items()
        # Lightning logs -1 as `hp_metric` where nobody chose one.
        if tag not in ("epoch", "gate/passed", "hp_metric") and not (prefixes and tag.startswith(prefixes))
    }


def _monitor(name: str, log: Log) -> Monitor:
    tags = log.scalars
    monitor = Monitor(name, tuple(tags[f"{name}/seconds"]), card=_last(log.texts.get(f"{name}/card", {})))
    for (method, key), line in _lines(name, tags):
        if not method:
            monitor.costs.update({key: line} if key in COSTS else {})
        elif key in ("invalid", "blank"):
            monitor.counts.setdefault(key, {})[method] = line
        elif key.startswith("drift_"):
            monitor.drift.setdefault(_drift(key), {})[method] = line
        elif "_vs_" in key:
            metric, _, control = key.rpartition("_vs_")
            monitor.margins.setdefault((metric, control), {})[method] = line
        else:
            monitor.scores.setdefault(key, {})[method] = line
    for (group, place), pictures in _under(name, log.pictures):
        if group == CURVES:
            monitor.curves[place] = pictures
        elif group:
            monitor.strips.setdefault(place, {})[group] = pictures
    return monitor


def _lines(name: str, tags: Mapping[str, Scalars]) -> Iterator[tuple[tuple[str, str], Line]]:
    for place, values in _under(name, tags):
        tag = "/".join((name, *filter(None, place)))
        if not (tag.endswith(STDERR) and tag.removesuffix(STDERR) in tags):
            yield place, Line(values, tags.get(tag + STDERR, {}))


def _under(name: str, tags: Mapping[str, Scalars] | Mapping[str, Pictures]) -> Iterator[tuple[tuple[str, str], Any]]:
    """Split what is behind a monitor's name into method and the rest."""
    for tag, found in tags.items():
        if tag.startswith(f"{name}/"):
            method, _, key = tag.removeprefix(f"{name}/").rpartition("/")
            yield (method, key), found


def _drift(key: str) -> tuple[str, str]:
    measure = key.removeprefix("drift_")
    suffix = next((suffix for suffix in SINCE if suffix and measure.endswith(suffix)), "")
    return measure.removesuffix(suffix), SINCE[suffix]


def _last(texts: Mapping[int, str]) -> str:
    return texts[max(texts)] if texts else ""
