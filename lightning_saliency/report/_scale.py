"""From values to places on a chart, and where the round numbers are."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

ROUND: Final = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Scale:
    """A straight way from values in [`low`, `high`] to places in [`start`, `end`]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a value, to a tenth of a unit."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def spanning(values: Iterable[float], start: float, end: float, *, spare: float = 0.0) -> Scale:
    """Make a scale that holds all values, with a share of their span to spare at both ends."""
    found = list(values) or [0.0]
    low, high = min(found), max(found)
    room = (high - low) * spare if high > low else abs(high) / 10 or 0.5
    return Scale(low - room, high + room, start, end)


def ticks(scale: Scale, most: int, *, whole: bool = False) -> list[tuple[float, str]]:
    """List at most about `most` round values of a scale with their labels.

    Example:
        >>> ticks(Scale(0.0, 0.6, 0, 1), 3)
        [(0.0, '0.0'), (0.2, '0.2'), (0.4, '0.4'), (0.6000000000000001, '0.6')]
    """
    rough = (scale.high - scale.low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    width = next(factor * power for factor in ROUND if factor * power >= rough * (1 - 1e-9))
    width = max(1.0, float(math.ceil(width))) if whole else width
    numbers = range(math.ceil(scale.low / width - 1e-9), math.floor(scale.high / width + 1e-9) + 1)
    return [(number * width, _label(number * width, width)) for number in numbers]


def _label(value: float, width: float) -> str:
    digits = next((count for count in range(12) if math.isclose(round(width, count), width)), 12)
    # Short, unless the digits in which ticks differ would be lost.
    if abs(value) < 1000 * width and (digits > 4 or abs(value) >= 1e6):
        return f"{value:.4g}"
    return f"{value:.{digits}f}"
