"""One run's evaluations of one stage, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from lightning_saliency.names import monitor_of

Values: TypeAlias = Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """A run's evaluations.

    Attributes:
        name: Folder and id of the run.
        evaluations: Values and standard errors of every evaluation by the names of the monitors, oldest first.
        others: Everything else that was logged, by name, oldest first.
        fault: Why nothing could be read, empty if it could.
        notes: Sentences on what could not be read.
    """

    name: str
    evaluations: Mapping[str, Sequence[Values]] = field(default_factory=dict)
    others: Mapping[str, Sequence[float]] = field(default_factory=dict)
    fault: str = ""
    notes: Sequence[str] = ()

    def monitor_of(self, name: str) -> str | None:
        """Return the monitor that logged a value."""
        return monitor_of(name, self.evaluations)

    def series(self, name: str) -> Sequence[Values]:
        """Return the evaluations that may hold a value, oldest first."""
        monitor = self.monitor_of(name)
        if monitor is not None:
            return self.evaluations[monitor]
        return [{name: value} for value in self.others.get(name, ())]
