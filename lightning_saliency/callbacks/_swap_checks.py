"""Refuse set-ups in which no cue can be swapped."""

import inspect
from collections.abc import Collection

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_warn

from lightning_saliency.callbacks._lightning import evaluates_in
from lightning_saliency.callbacks.saliency_monitor import SaliencyMonitor
from lightning_saliency.swapping import SwapCues


def refuse_iterator(pl_module: pl.LightningModule) -> None:
    """Refuse a module that fetches its batches itself, since these pass no hook.

    Raises:
        ValueError: If it does.
    """
    if "dataloader_iter" in inspect.signature(pl_module.training_step).parameters:
        raise ValueError(
            "`training_step` must take a batch for CueSwap, but got `dataloader_iter`.  "
            "Call `SwapCues` on the images in `training_step` instead."
        )


def find_monitor(trainer: pl.Trainer, name: str) -> SaliencyMonitor | None:
    """Return the monitor of a name, if the trainer has it."""
    return next((monitor for monitor in _monitors(trainer) if monitor.settings.name == name), None)


def require_alarm(trainer: pl.Trainer, monitor: SaliencyMonitor | None, name: str) -> None:
    """Refuse to wait for the alarm of a monitor that is absent or follows no cue, and say if no validation comes.

    Raises:
        ValueError: If there is no alarm.
    """
    if monitor is None:
        names = [monitor.settings.name for monitor in _monitors(trainer)]
        raise ValueError(
            f"`monitor` must name a SaliencyMonitor of the trainer, but got {name!r} where there is "
            f"{', '.join(map(repr, names)) or 'none'}.  Add one to the callbacks, or pass `when='always'`."
        )
    if not monitor.settings.cues:
        raise ValueError(
            f"`monitor` must name a SaliencyMonitor that follows cues, but got {name!r}, whose `cues` are empty.  "
            "Give it cues, or pass `when='always'`."
        )
    if not evaluates_in(trainer, "fit"):
        rank_zero_warn("CueSwap: There is no validation, so no alarm can ring and no cue is swapped.")


def refuse_allowed(swap: SwapCues, allow: Collection[str]) -> None:
    """Refuse to swap what the user has allowed to decide.

    Raises:
        ValueError: If a cue that was named is allowed.
    """
    named = {} if swap.cues is None else swap.choices
    clash = sorted({name for name, group in named.items() if {name, *(cue.name for cue in group)} & {*allow}})
    if clash:
        raise ValueError(
            f"`cues` must hold no cue that the monitor allows, but got {clash}.  Take it out of `cues` or of `allow`."
        )


def _monitors(trainer: pl.Trainer) -> list[SaliencyMonitor]:
    return [callback for callback in trainer.callbacks if isinstance(callback, SaliencyMonitor)]  # type: ignore[attr-defined]
