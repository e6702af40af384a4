"""From values to positions on a chart, and where the round numbers are."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from matplotlib.ticker import MaxNLocator

ROUND: Final = (1, 2, 2.5, 5, 10)
# What is closer together, relative to its size, or closer to zero than this cannot be told apart on an axis.
NARROWEST: Final = 1e-12
SMALLEST: Final = 1e-100


@dataclass(frozen=True)
class Scale:
    """A linear function from values in [`low`, `high`] to positions in [`start`, `end`]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the position of a value, to a tenth of a unit."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def spanning(values: Iterable[float], start: float, end: float, *, spare: float = 0.0) -> Scale:
    """Make a scale that holds all values, with a share of their span to spare at both ends."""
    points = list(values) or [0.0]
    low, high = min(points), max(points)
    size = max(abs(low), abs(high), SMALLEST)
    room = (high - low) * spare if high - low > NARROWEST * size else size / 10 if size > SMALLEST else 0.5
    return Scale(low - room, high + room, start, end)


def ticks(scale: Scale, count: int, *, integers: bool = False) -> list[tuple[float, str]]:
    """List round values of a scale in about `count` intervals, with their labels.

    Example:
        >>> [label for _, label in ticks(Scale(0.0, 0.6, 0, 1), 3)]
        ['0.0', '0.2', '0.4', '0.6']
    """
    locator = MaxNLocator(count, steps=ROUND, integer=integers, min_n_ticks=1)
    values = [float(value) for value in locator.tick_values(scale.low, scale.high)]
    width = values[1] - values[0]
    margin = 1e-9 * width
    inside = [value for value in values if scale.low - margin <= value <= scale.high + margin]
    return [(value, _label(value, width)) for value in inside]


def _label(value: float, width: float) -> str:
    digits = next((count for count in range(12) if math.isclose(round(width, count), width)), 12)
    # Short, unless the digits in which ticks differ would be lost.
    if abs(value) < 1000 * width and (digits > 4 or abs(value) >= 1e6):
        return f"{value:.4g}"
    return f"{value:.{digits}f}"
