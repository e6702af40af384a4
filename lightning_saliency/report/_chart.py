"""Lines over steps as SVG that takes its colours from the page."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lightning_saliency.report._clock import Axis, Clock
from lightning_saliency.report._html import Markup, element, joined
from lightning_saliency.report._monitor import Line, Lines
from lightning_saliency.report._numbers import with_error
from lightning_saliency.report._scale import Scale, spanning, ticks

HEIGHT: Final = 216
LEFT: Final = 52
TOP, BOTTOM = 20, 190
MOST_POINTS: Final = 400
MOST_DOTS: Final = 60

Points = list[tuple[int, float, float]]


@dataclass(frozen=True)
class Mark:
    """A decision of a gate."""

    step: int
    passed: bool
    gate: str


@dataclass(frozen=True)
class Frame:
    """Where a chart is drawn: an axis of steps, and of values."""

    axis: Axis
    across: Scale
    up: Scale

    def x(self, step: int) -> float:
        """Return a step's place."""
        return self.across(self.axis.places[step])


def chart(
    title: str,
    lines: Lines,
    clock: Clock,
    styles: Mapping[str, str],
    *,
    marks: Sequence[Mark] = (),
    zero: bool = False,
    width: int = 520,
) -> Markup:
    """Draw lines with a band of one standard error, and say how many values are not finite.

    Args:
        title: What is drawn.
        lines: Lines by name.
        clock: When steps were.
        styles: Style class by name of a line.
        marks: Decisions of the gates, drawn above.
        zero: Whether to show and mark zero.
        width: Width in pixels, of which the page may make more or less.
    """
    points = {name: _points(line) for name, line in lines.items()}
    axis = clock.axis(step for line in lines.values() for step in line.values)
    ends = [value + side * error for found in points.values() for _, value, error in found for side in (-1, 1)]
    up = spanning([*ends, 0.0] if zero else ends, BOTTOM, TOP, spare=0.06)
    frame = Frame(axis, spanning(axis.places.values(), LEFT + 10, width - 12), up)
    drawn = [
        *_grid(frame, width),
        *([_level(up(0.0), width, "zero")] if zero else []),
        *(_mark(mark, frame) for mark in marks if mark.step in axis.places),
        *(_drawn(name, found, frame, styles.get(name, "c0")) for name, found in points.items() if found),
    ]
    svg = element("svg", *drawn, viewBox=f"0 0 {width} {HEIGHT}", role="img", aria_label=title)
    return element("figure", element("figcaption", title, _missing(lines)), svg, class_="chart")


def _missing(lines: Lines) -> str:
    count = sum(not math.isfinite(value) for line in lines.values() for value in line.values.values())
    return element("small", f" {count} not finite, left out") if count else ""


def _points(line: Line) -> Points:
    """Keep finite values, and of very many some at even distances, the last included."""
    finite = [
        (step, value, _finite(line.errors.get(step, 0.0)))
        for step, value in line.values.items()
        if math.isfinite(value)
    ]
    every = -(-len(finite) // MOST_POINTS) or 1
    return finite[::-1][::every][::-1]


def _finite(error: float) -> float:
    return abs(error) if math.isfinite(error) else 0.0


def _grid(frame: Frame, width: int) -> Iterator[Markup]:
    for value, label in ticks(frame.up, 5):
        yield _level(frame.up(value), width, "grid")
        yield element("text", label, x=LEFT - 8, y=frame.up(value) + 4, class_="end")
    for value, label in ticks(frame.across, width // 45, whole=True):
        yield element("text", label, x=frame.across(value), y=BOTTOM + 19, class_="middle")
    yield element("text", frame.axis.unit, x=LEFT - 8, y=BOTTOM + 19, class_="end")


def _level(y: float, width: int, style: str) -> Markup:
    return element("line", x1=LEFT, x2=width, y1=y, y2=y, class_=style)


def _mark(mark: Mark, frame: Frame) -> Markup:
    x, y = frame.x(mark.step), TOP - 11
    title = element("title", f"{frame.axis.label(mark.step)}: {mark.gate} {'passed' if mark.passed else 'refused'}")
    if mark.passed:
        return element("circle", title, cx=x, cy=y, r=3.5, class_="passed")
    return element("path", title, d=f"M{x - 3} {y - 3}l6 6m0-6l-6 6", class_="refused")


def _drawn(name: str, points: Points, frame: Frame, style: str) -> Markup:
    parts = [element("title", name)]
    if any(error for _, _, error in points):
        above = [(step, value + error) for step, value, error in points]
        below = [(step, value - error) for step, value, error in reversed(points)]
        # The band of a single point has no area, and its outline is an error bar.
        shape = "band" if len(points) > 1 else "bar"
        parts.append(element("path", d=f"{_path([*above, *below], frame)}Z", class_=shape))
    parts.append(element("path", d=_path([(step, value) for step, value, _ in points], frame), class_="line"))
    for step, value, error in points if len(points) <= MOST_DOTS else ():
        said = element("title", f"{name}, {frame.axis.label(step)}: {with_error(value, error)}")
        parts.append(element("circle", said, cx=frame.x(step), cy=frame.up(value), r=2.5))
    return element("g", joined(parts), class_=style)


def _path(corners: Sequence[tuple[int, float]], frame: Frame) -> str:
    return "M" + "L".join(f"{frame.x(step)} {frame.up(value)}" for step, value in corners)
