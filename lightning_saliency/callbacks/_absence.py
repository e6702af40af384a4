"""Gates on values that nothing computes: they would refuse every checkpoint of a run."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

import lightning.pytorch as pl

from lightning_saliency.callbacks._distributed import tell_everyone
from lightning_saliency.callbacks._freshness import ValuesBefore
from lightning_saliency.callbacks._gate_names import monitor_that_logs, monitors_of
from lightning_saliency.callbacks.saliency_monitor import SaliencyMonitor
from lightning_saliency.names import PARTS, LoggedName

MOST_NAMED: Final = 5


def refuse_absent(trainer: pl.Trainer, names: Iterable[str], before: ValuesBefore) -> frozenset[str]:
    """Refuse gates on values that neither a monitor nor anything else has computed by the end of a validation.

    Args:
        trainer: The trainer.
        names: Names of values that have not been met.
        before: The values that there were before the validation.

    Returns:
        The names that a later validation will show.

    Raises:
        ValueError: If a value cannot come.
    """
    # Values may differ between processes, which have to stop together.
    verdicts = tell_everyone({name: _is_coming(trainer, name, before) for name in sorted(names)}, trainer)
    absent = [name for name, is_coming in verdicts.items() if is_coming is False]
    if absent:
        nearest = get_close_matches(absent[0], _computed(trainer), MOST_NAMED, cutoff=0)
        raise ValueError(
            f"`gates` must be on values that validations compute, but got {absent[0]!r}, which this one did not.  "
            f"Log it in `validation_step`, or name a value that there is, such as {', '.join(nearest)}."
        )
    return frozenset(name for name, is_coming in verdicts.items() if is_coming)


def _is_coming(trainer: pl.Trainer, name: str, before: ValuesBefore) -> bool | None:
    """Return whether a value may still come, `None` if nothing speaks against it any more."""
    monitor = monitor_that_logs(name, monitors_of(trainer))
    if monitor is None:
        return None if name in trainer.callback_metrics else False
    if not before.is_older_than(monitor):
        return True
    return None if _is_computed(monitor, name) else False


def _is_computed(monitor: SaliencyMonitor, name: str) -> bool:
    """Return whether a monitor computes a value, which may be absent all the same if no score of it is finite."""
    parsed = LoggedName.parse(name, monitor.settings.name)
    if parsed is None or monitor.last is None or parsed.kind not in ("score", "margin"):
        return True
    methods = [parsed.method, parsed.control] if parsed.control else [parsed.method]
    return all((method, parsed.quantity) in monitor.last.scores for method in methods)


def _computed(trainer: pl.Trainer) -> list[str]:
    """List the values there are, without standard errors."""
    values = [name for monitor in monitors_of(trainer) for record in monitor.history[-1:] for name in record.values]
    logged = [name for name in trainer.callback_metrics if not name.endswith(PARTS["stderr"])]
    return list(dict.fromkeys([*values, *logged]))
