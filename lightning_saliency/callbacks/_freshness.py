"""Values of the current validation, told from those that an earlier one left."""

from dataclasses import dataclass, field

import lightning.pytorch as pl
from torch import Tensor

from lightning_saliency.callbacks._gate_names import monitor_that_logs, monitors_of
from lightning_saliency.callbacks.saliency_monitor import SaliencyMonitor
from lightning_saliency.monitor.history import Record


@dataclass(frozen=True)
class ValuesBefore:
    """The values that there were before a validation.

    Attributes:
        logged: Values by name, as the trainer has them.
        records: The last record of every monitor, by its key.
    """

    logged: dict[str, Tensor] = field(default_factory=dict)
    records: dict[str, Record | None] = field(default_factory=dict)

    @classmethod
    def of(cls, trainer: pl.Trainer) -> "ValuesBefore":
        """Return the values that there are now."""
        records = {monitor.state_key: _last(monitor.history) for monitor in monitors_of(trainer)}
        return cls(dict(trainer.callback_metrics), records)

    def fresh(self, trainer: pl.Trainer, name: str) -> float | None:
        """Return a value if this validation computed it: of a monitor from its record, else what was logged anew."""
        monitor = monitor_that_logs(name, monitors_of(trainer))
        if monitor is not None:
            return monitor.history[-1].value(name) if self.is_older_than(monitor) else None
        value = trainer.callback_metrics.get(name)
        return None if value is None or value is self.logged.get(name) else value.item()

    def is_older_than(self, monitor: SaliencyMonitor) -> bool:
        """Return whether a monitor has evaluated since."""
        record = _last(monitor.history)
        return record is not None and record is not self.records.get(monitor.state_key)


def _last(history: list[Record]) -> Record | None:
    return history[-1] if history else None
