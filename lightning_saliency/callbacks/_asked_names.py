"""The names of values that the callbacks and schedulers of a trainer read."""

import re
from collections.abc import Iterator
from typing import Any, Final

import lightning.pytorch as pl

from lightning_saliency.monitor.gates import Bound, Gate, Relative

# As in `ModelCheckpoint.format_checkpoint_name`.
FIELD: Final = re.compile(r"\{(.*?)[:\}]")


def asked_names(trainer: pl.Trainer) -> frozenset[str]:
    """Return what checkpoints, early stopping, gates and schedulers read from `callback_metrics`."""
    return frozenset(
        [
            *_monitored(trainer),
            *(name for callback in _callbacks(trainer) for name in _fields(callback)),
            *(name for callback in _callbacks(trainer) for gate in _gates(callback) for name in gate.names),
        ]
    )


def awaits_values(trainer: pl.Trainer, monitor: str) -> bool:
    """Return whether a callback or scheduler fails in a validation that knows no value of a monitor.

    A gated checkpoint does not: its gates refuse before it looks.

    Args:
        trainer: The trainer.
        monitor: Name of the monitor.
    """
    return any(name.startswith(f"{monitor}/") for name in _monitored(trainer, except_gated_by=monitor))


def _monitored(trainer: pl.Trainer, except_gated_by: str = "") -> Iterator[str]:
    for callback in _callbacks(trainer):
        name = getattr(callback, "monitor", None)
        refuses = any(gate.metric.startswith(f"{except_gated_by}/") for gate in _gates(callback))
        if isinstance(name, str) and not (except_gated_by and refuses):
            yield name
    for config in trainer.lr_scheduler_configs:
        if isinstance(config.monitor, str):
            yield config.monitor


def _fields(callback: Any) -> Iterator[str]:
    """List the fields of a checkpoint's file names."""
    for attribute in ("filename", "CHECKPOINT_NAME_LAST"):
        pattern = getattr(callback, attribute, None)
        if isinstance(pattern, str):
            yield from FIELD.findall(pattern)


def _gates(callback: Any) -> Iterator[Gate]:
    gates = getattr(callback, "gates", ())
    for gate in gates if isinstance(gates, tuple) else ():
        if isinstance(gate, Bound | Relative):
            yield gate


def _callbacks(trainer: pl.Trainer) -> list[pl.Callback]:
    return trainer.callbacks  # type: ignore[attr-defined,no-any-return]  # set at run time
