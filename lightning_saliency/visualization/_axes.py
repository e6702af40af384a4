"""An axis of a figure: its range, and its ticks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MARGIN: Final = 0.05
FEWEST_TICKS: Final = 4
# Shares of a power of ten, the largest one first.
STEPS: Final = (2.0, 1.0, 0.5, 0.25)


@dataclass(frozen=True)
class Axis:
    """The range of an axis, in values and in pixels.

    Attributes:
        low: Lowest value.
        high: Highest value.
        start: Pixel of the lowest value.
        end: Pixel of the highest value.
    """

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float) -> "Axis":
        """Return an axis that shows all values with some space around them."""
        low, high = min(values), max(values)
        # An axis of equal values shows their surroundings.
        space = MARGIN * (high - low) or max(abs(low), 1.0) / 2
        return cls(low - space, high + space, start, end)

    def pixel(self, value: float) -> float:
        """Return the pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> dict[str, float]:
        """Return round values within the range by their texts."""
        span = self.high - self.low
        unit = 10.0 ** math.floor(math.log10(span))
        step = unit * next((share for share in STEPS if span >= FEWEST_TICKS * share * unit), STEPS[-1])
        numbers = range(math.ceil(self.low / step), math.floor(self.high / step) + 1)
        return {f"{number * step:.6g}": number * step for number in numbers}
