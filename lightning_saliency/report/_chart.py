"""Lines over steps: the shapes of a chart, which a template draws as SVG."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from lightning_saliency.report._clock import Axis, Clock
from lightning_saliency.report._monitor import Line, Lines
from lightning_saliency.report._numbers import with_error
from lightning_saliency.report._scale import Scale, spanning, ticks

HEIGHT: Final = 216
LEFT: Final = 52
TOP, BOTTOM = 20, 190
MOST_POINTS: Final = 400
MOST_DOTS: Final = 60
LARGEST: Final = 3.4028235e38

Tick = tuple[float, str]
Points = list[tuple[int, float, float]]


@dataclass(frozen=True)
class Mark:
    """A decision of a gate."""

    step: int
    passed: bool
    gate: str


@dataclass(frozen=True)
class Dot:
    """A position with a text that the browser shows when the pointer is over it."""

    x: float
    y: float
    text: str
    passed: bool = True


@dataclass(frozen=True)
class Curve:
    """A line with its band.

    Attributes:
        name: Name of the line.
        style: Classes of the style sheet.
        path: Outline of the line.
        band: Outline of one standard error on both sides, empty where there are no errors.
        dots: The points, empty where there are very many.
    """

    name: str
    style: str
    path: str
    band: str
    dots: Sequence[Dot]

    @property
    def band_class(self) -> str:
        """Class of the band: the band of a single point has no area, so its outline is an error bar."""
        return "band" if "L" in self.path else "bar"


@dataclass(frozen=True)
class Chart:
    """Everything that is drawn.

    Attributes:
        title: Title of the chart.
        missing: Number of values that are not finite.
        width: Width in pixels, of which the page may make more or less.
        unit: Unit of the steps.
        zero: Position of zero if it is marked.
        across: Positions and labels of steps.
        up: Positions and labels of values.
        marks: Decisions of the gates.
        curves: Lines.
    """

    height: ClassVar[int] = HEIGHT
    left: ClassVar[int] = LEFT
    bottom: ClassVar[int] = BOTTOM

    title: str
    missing: int
    width: int
    unit: str
    zero: float | None
    across: Sequence[Tick]
    up: Sequence[Tick]
    marks: Sequence[Dot]
    curves: Sequence[Curve]


@dataclass(frozen=True)
class Frame:
    """Where a chart is drawn: an axis of steps, and of values."""

    axis: Axis
    across: Scale
    up: Scale

    def x(self, step: int) -> float:
        """Return the position of a step."""
        return self.across(self.axis.places[step])


def chart(
    title: str,
    lines: Lines,
    clock: Clock,
    styles: Mapping[str, str],
    *,
    marks: Iterable[Mark] = (),
    zero: bool = False,
    width: int = 520,
) -> Chart:
    """Lay out lines with a band of one standard error, and count the values that are not finite.

    Args:
        title: Title of the chart.
        lines: Lines by name.
        clock: When steps were.
        styles: Style classes by name of a line.
        marks: Decisions of the gates, drawn above.
        zero: Whether to show and mark zero.
        width: Width in pixels, of which the page may make more or less.
    """
    points = {name: _points(line) for name, line in lines.items()}
    axis = clock.axis(step for line in lines.values() for step in line.values)
    ends = [value + side * error for line in points.values() for _, value, error in line for side in (-1, 1)]
    up = spanning([*ends, 0.0] if zero else ends, BOTTOM, TOP, spare=0.06)
    frame = Frame(axis, spanning(axis.places.values(), LEFT + 10, width - 12), up)
    return Chart(
        title=title,
        missing=sum(not _is_drawable(value) for line in lines.values() for value in line.values.values()),
        width=width,
        unit=axis.unit,
        zero=up(0.0) if zero else None,
        across=[(frame.across(value), label) for value, label in ticks(frame.across, width // 45, integers=True)],
        up=[(up(value), label) for value, label in ticks(up, 5)],
        marks=[_mark(mark, frame) for mark in marks if mark.step in axis.places],
        curves=[_curve(name, line, frame, styles.get(name, "c0")) for name, line in points.items() if line],
    )


def _is_drawable(value: float) -> bool:
    """Return whether a value is finite in single precision, which event files have."""
    return abs(value) <= LARGEST


def _points(line: Line) -> Points:
    """Keep finite values, and of very many some at even distances, the last included."""
    finite = [
        (step, value, _finite(line.errors.get(step, 0.0))) for step, value in line.values.items() if _is_drawable(value)
    ]
    every = -(-len(finite) // MOST_POINTS) or 1
    return finite[::-1][::every][::-1]


def _finite(error: float) -> float:
    return abs(error) if _is_drawable(error) else 0.0


def _mark(mark: Mark, frame: Frame) -> Dot:
    text = f"{frame.axis.label(mark.step)}: {mark.gate} {'passed' if mark.passed else 'refused'}"
    return Dot(frame.x(mark.step), TOP - 11, text, mark.passed)


def _curve(name: str, points: Points, frame: Frame, style: str) -> Curve:
    above = [(step, value + error) for step, value, error in points]
    below = [(step, value - error) for step, value, error in reversed(points)]
    has_errors = any(error for _, _, error in points)
    return Curve(
        name=name,
        style=style,
        path=_path([(step, value) for step, value, _ in points], frame),
        band=f"{_path([*above, *below], frame)}Z" if has_errors else "",
        dots=[_dot(name, point, frame) for point in points] if len(points) <= MOST_DOTS else [],
    )


def _dot(name: str, point: tuple[int, float, float], frame: Frame) -> Dot:
    step, value, error = point
    return Dot(frame.x(step), frame.up(value), f"{name}, {frame.axis.label(step)}: {with_error(value, error)}")


def _path(corners: Sequence[tuple[int, float]], frame: Frame) -> str:
    return "M" + "L".join(f"{frame.x(step)} {frame.up(value)}" for step, value in corners)
