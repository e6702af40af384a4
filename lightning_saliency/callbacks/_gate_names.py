"""Check gates against what the monitors of a trainer will log."""

from collections.abc import Sequence

import lightning.pytorch as pl

from lightning_saliency.callbacks.saliency_monitor import SaliencyMonitor
from lightning_saliency.monitor._logged_names import logged_names
from lightning_saliency.names import PARTS


def refuse_unknown(trainer: pl.Trainer, name: str) -> None:
    """Refuse a name of a monitor's that it will not log; names that the module itself logs cannot be known yet.

    Raises:
        ValueError: If the name begins like a monitor's or has three parts as theirs have, and none logs it, or if it
            lacks only the monitor's own name.
    """
    names = _names(trainer)
    completed = [f"{monitor.settings.name}/{name}" for monitor in monitors_of(trainer)] if "/" in name else []
    for complete in completed:
        if complete in names and name not in names:
            raise ValueError(
                f"`gates` must have names that begin with that of the monitor, but got {name!r}.  Write {complete!r}."
            )
    looks_like_ours = name.split("/", maxsplit=1)[0] in {other.split("/")[0] for other in names} or name.count("/") > 1
    if looks_like_ours and name not in names:
        listed = ", ".join(other for other in names if not other.endswith(PARTS["stderr"]))
        raise ValueError(
            f"`gates` must be on what a SaliencyMonitor logs, but got {name!r}.  "
            f"{f'Choose among {listed}' if listed else 'Add a SaliencyMonitor, since there is none'}."
        )


def direction_of(trainer: pl.Trainer, name: str) -> bool:
    """Return whether higher is better.

    Raises:
        ValueError: If it is unknown.
    """
    direction = _names(trainer).get(name)
    if direction is None:
        raise ValueError(
            f"Expected a relative gate on a score of a SaliencyMonitor, whose direction is known, but got {name!r}: "
            "use '>= x' or '<= x'."
        )
    return direction


def monitors_of(trainer: pl.Trainer) -> list[SaliencyMonitor]:
    """List the monitors of a trainer."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set at run time
    return [callback for callback in callbacks if isinstance(callback, SaliencyMonitor)]


def monitor_that_logs(name: str, monitors: Sequence[SaliencyMonitor]) -> SaliencyMonitor | None:
    """Return the monitor that a value belongs to, `None` if it is the module's."""
    return next((monitor for monitor in monitors if name in logged_names(monitor.settings)), None)


def _names(trainer: pl.Trainer) -> dict[str, bool | None]:
    return {name: better for monitor in monitors_of(trainer) for name, better in logged_names(monitor.settings).items()}
