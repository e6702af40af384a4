"""Positions of steps on an axis: in epochs if the run logged them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from lightning_saliency.report._log import Log

# Larger numbers count nothing.
LAST: Final = 2**53


@dataclass(frozen=True)
class Axis:
    """Positions of steps on an axis.

    Attributes:
        unit: `"epoch"` or `"step"`.
        places: Position by step.
    """

    unit: str
    places: Mapping[int, int]

    def label(self, step: int) -> str:
        """Name a step by its position."""
        return f"{self.unit} {self.places[step]}"


@dataclass(frozen=True)
class Clock:
    """Epochs by step."""

    epochs: Mapping[int, int]

    @classmethod
    def of(cls, log: Log) -> "Clock":
        """Read Lightning's scalar `epoch`."""
        logged = log.scalars.get("epoch", {})
        return cls({step: round(epoch) for step, epoch in logged.items() if abs(epoch) <= LAST})

    def axis(self, steps: Iterable[int]) -> Axis:
        """Place steps by epoch if no two share one, else by step."""
        steps = sorted(set(steps))
        epochs = [self.epochs[step] for step in steps if step in self.epochs]
        if len(set(epochs)) == len(steps):
            return Axis("epoch", dict(zip(steps, epochs, strict=True)))
        return Axis("step", {step: step for step in steps})

    def counted(self, steps: Iterable[int]) -> dict[int, int]:
        """Return, by step of a picture, text or decision, the step of the scalars logged with it.

        Lightning numbers scalars by the last batch, from zero. Everything else is logged at the count of
        steps, which is one more.
        """
        steps = list(steps)
        delay = next((shift for shift in (1, 0) if all(step - shift in self.epochs for step in steps)), 0)
        return {step: step - delay for step in steps}
