"""The consequences of an alarm."""

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_info

from lightning_saliency.callbacks._state import MonitorState
from lightning_saliency.monitor.alarms import CONFIRMED, Watch, sentence, warning_key
from lightning_saliency.monitor.fault import Fault


def act(trainer: pl.Trainer, state: MonitorState, watch: Watch) -> None:
    """Tell of a confirmed alarm once a family, and do as `on_alarm` says, the same on every process."""
    decision, choice = watch.decision, state.settings.on_alarm
    if decision.silence and "silence" not in state.warnings:
        state.warnings.add("silence")
        rank_zero_info(f"SaliencyMonitor {state.settings.name!r} decides on no cue yet: {decision.silence}")
    key = warning_key(decision)
    if decision.state != CONFIRMED or key in state.warnings:
        return
    state.warn(key, sentence(watch, state.settings))
    if choice == "stop":
        trainer.should_stop = True
    elif callable(choice):
        try:
            choice(decision)
        except Exception as error:  # noqa: BLE001 - the user's function must not stop training by accident
            state.settle(Fault.of(error), error, "`on_alarm` failed")
