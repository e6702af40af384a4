"""The values and pictures of a monitor, sorted by their tags."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from lightning_saliency.report._log import Log, Pictures, Scalars

Entry = TypeVar("Entry")
STDERR: Final = "_stderr"
SINCE: Final = {"": "since the previous", "_first": "since the first", "_best": "since the best"}
CURVES: Final = "curves"
DRIFTS: Final = tuple(f"drift_{measure}" for measure in ("spearman", "ssim", "top_k_iou", "center_shift"))


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
    def methods(self) -> list[str]:
        """Methods that are watched: the monitor counts their faulty maps."""
        return list(dict.fromkeys(method for lines in self.counts.values() for method in lines))

    @property
    def controls(self) -> list[str]:
        """Methods that are scored for comparison only."""
        scored = dict.fromkeys(method for lines in self.scores.values() for method in lines)
        return [method for method in scored if method not in self.methods]


def monitors_of(log: Log) -> list[Monitor]:
    """Return the monitors of a run: their logs have `<name>/seconds` and counts of faulty maps."""
    names = [tag.removesuffix("/seconds") for tag in log.scalars if tag.endswith("/seconds")]
    names = [name for name in names if any(_counts_for(name, tag) for tag in log.scalars)]
    return [
        _monitor(name, log, tuple(f"{other}/" for other in names if other.startswith(f"{name}/"))) for name in names
    ]


def other_scalars(log: Log, monitors: list[Monitor], gates: Iterable[str]) -> Lines:
    """Return the scalars of others, without counters."""
    # Lightning logs -1 as `hp_metric` if the user chose none.
    counters = {"epoch", "hp_metric", *(f"{gate}/passed" for gate in gates)}
    prefixes = tuple(f"{monitor.name}/" for monitor in monitors)
    return {
        tag: Line(values)
        for tag, values in log.scalars.items()
        if tag not in counters and not (prefixes and tag.startswith(prefixes))
    }


def _counts_for(name: str, tag: str) -> bool:
    return tag.startswith(f"{name}/") and tag.endswith("/invalid") and tag != f"{name}/invalid"


def _monitor(name: str, log: Log, inside: tuple[str, ...]) -> Monitor:
    steps = tuple(log.scalars[f"{name}/seconds"])
    monitor = Monitor(name, steps, card=_last(log.texts.get(f"{name}/card", {})))
    for method, key, values in _under(name, log.scalars, inside):
        tag = f"{name}/{method}/{key}"
        if not any(tag.endswith(suffix) and tag.removesuffix(suffix) in log.scalars for suffix in _beside(key)):
            line = Line(values, log.scalars.get(tag + STDERR, {}))
            margin = _margin(name, method, key, log)
            if margin is None:
                _sort_in(monitor, method, key, line)
            else:
                monitor.margins.setdefault(margin, {})[method] = line
    for group, place, pictures in _under(name, log.pictures, inside):
        if group == CURVES:
            monitor.curves[place] = pictures
        elif group:
            monitor.strips.setdefault(place, {})[group] = pictures
    return monitor


def _under(name: str, tags: Mapping[str, Entry], inside: tuple[str, ...]) -> Iterator[tuple[str, str, Entry]]:
    """Split the tags of a monitor into method and the rest, without those of a monitor with a longer name."""
    for tag, entry in tags.items():
        if tag.startswith(f"{name}/") and not tag.startswith(inside):
            method, _, key = tag.removeprefix(f"{name}/").rpartition("/")
            yield method, key, entry


def _beside(key: str) -> tuple[str, ...]:
    """Return the suffixes logged with a value: its error, and for a margin its bounds in TensorBoard's charts."""
    return (STDERR, "_low", "_high") if "_vs_" in key else (STDERR,)


def _margin(name: str, method: str, key: str, log: Log) -> tuple[str, str] | None:
    """Split a margin's key into metric and control, if both were logged; other keys may look alike."""
    metric, _, control = key.rpartition("_vs_")
    is_margin = f"{name}/{method}/{metric}" in log.scalars and f"{name}/{control}/{metric}" in log.scalars
    return (metric, control) if is_margin else None


def _sort_in(monitor: Monitor, method: str, key: str, line: Line) -> None:
    if not method:
        monitor.costs[key] = line
    elif key in ("invalid", "blank"):
        monitor.counts.setdefault(key, {})[method] = line
    elif key.startswith(DRIFTS):
        monitor.drift.setdefault(_drift(key), {})[method] = line
    else:
        monitor.scores.setdefault(key, {})[method] = line


def _drift(key: str) -> tuple[str, str]:
    measure = key.removeprefix("drift_")
    suffix = next((suffix for suffix in SINCE if suffix and measure.endswith(suffix)), "")
    return measure.removesuffix(suffix), SINCE[suffix]


def _last(texts: Mapping[int, str]) -> str:
    return texts[max(texts)] if texts else ""
