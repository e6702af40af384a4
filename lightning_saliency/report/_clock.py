"""When steps were: in epochs where the run logged them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lightning_saliency.report._log import Log


@dataclass(frozen=True)
class Axis:
    """Places of steps on an axis.

    Attributes:
        unit: `"epoch"` or `"step"`.
        places: Place by step.
    """

    unit: str
    places: Mapping[int, int]

    def label(self, step: int) -> str:
        """Name a step's place."""
        return f"{self.unit} {self.places[step]}"


@dataclass(frozen=True)
class Clock:
    """Epochs by step."""

    epochs: Mapping[int, int]

    @classmethod
    def of(cls, log: Log) -> "Clock":
        """Read Lightning's scalar `epoch`."""
        logged = log.scalars.get("epoch", {})
        return cls({step: round(epoch) for step, epoch in logged.items() if math.isfinite(epoch)})

    def axis(self, steps: Iterable[int]) -> Axis:
        """Place steps by epoch if each has its own, else by step."""
        steps = sorted(set(steps))
        epochs = [self.epochs[step] for step in steps if step in self.epochs]
        if len(set(epochs)) == len(steps):
            return Axis("epoch", dict(zip(steps, epochs, strict=True)))
        return Axis("step", {step: step for step in steps})

    def counted(self, steps: Iterable[int]) -> dict[int, int]:
        """Find the steps of scalars that go with those of pictures, texts and decisions.

        Lightning numbers scalars by the last batch, from zero, and all else goes by the count of steps: one more.
        """
        steps = list(steps)
        behind = next((shift for shift in (1, 0) if all(step - shift in self.epochs for step in steps)), 0)
        return {step: step - behind for step in steps}
