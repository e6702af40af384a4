"""The work of one process in an evaluation: to collect images of a stream, to explain and to score."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.memory import is_oom_error
from torch import nn

from lightning_saliency._signals import signals_held
from lightning_saliency.callbacks._lightning import evaluation_loop, reading_of
from lightning_saliency.callbacks._progress import showing_progress
from lightning_saliency.callbacks._run import Run
from lightning_saliency.callbacks._sharding import go_on_only_together
from lightning_saliency.callbacks._silence import silenced
from lightning_saliency.callbacks._state import MonitorState
from lightning_saliency.following import Alarm
from lightning_saliency.monitor._buffers import buffers_replaced
from lightning_saliency.monitor.alarms import cues_of
from lightning_saliency.monitor.evaluate import evaluate_subset
from lightning_saliency.monitor.evaluated import Evaluated


def work(
    trainer: pl.Trainer,
    pl_module: pl.LightningModule,
    state: MonitorState,
    run: Run,
    find_network: Callable[..., nn.Module],
) -> Evaluated:
    """Compute this process's results, once; collectives wait, since others may not be here yet."""
    if run.evaluated is not None:
        return run.evaluated
    started = time.perf_counter()
    with signals_held(), silenced(pl_module), buffers_replaced(pl_module, run.buffers):
        while run.evaluated is None:
            try:
                run.evaluated = evaluate_subset(
                    pl_module,
                    find_network(pl_module),
                    run.subset,
                    reading_of(trainer, pl_module, state.settings),
                    state.settings,
                    pl_module.device,
                    check=run.check,
                    cues=cues_of(state.settings, state.watch.decision if run.trains else Alarm()),
                    looks_ahead=state.preflight is None,
                    progress=partial(showing_progress, trainer),
                )
            except Exception as error:  # noqa: BLE001 - the one place where a fault of an explanation is stopped
                if not _halve(state, error):
                    go_on_only_together(trainer, error)
                    run.fail(error, is_configuration=_is_configuration(state, error))
    if run.evaluated.preflight is not None:
        state.preflight = run.evaluated.preflight
        if run.check:
            rank_zero_info(f"SaliencyMonitor {state.settings.name!r}: {state.preflight}")
    for key, note in run.evaluated.notes.items():
        state.warn(key, note)
    seconds = time.perf_counter() - started + state.spent
    evaluation = replace(run.evaluated.evaluation, seconds=seconds, batch_size=state.settings.max_batch_size)
    run.evaluated = replace(run.evaluated, evaluation=evaluation)
    return run.evaluated


def is_complete(trainer: pl.Trainer, state: MonitorState, run: Run, batch: Any) -> bool:
    """Keep images of a batch that cannot be read by index, and return whether there are enough or no more.

    Args:
        trainer: The trainer.
        state: The monitor's state.
        run: The evaluation that collects.
        batch: A batch of the watched loader, `None` for one of another loader.
    """
    settings = state.settings
    if batch is not None and run.num_missing:
        run.subset.collect(batch, settings.batch, run.numbers, run.num_missing)
    is_full = run.subset.num_bytes >= settings.max_kept_bytes
    if is_full and run.num_missing:
        state.warn("bytes", f"Only {len(run.subset.share)} images fit into `max_kept_bytes`. Using these.")
    return not run.num_missing or is_full or evaluation_loop(trainer).batch_progress.is_last_batch


def _is_configuration(state: MonitorState, error: Exception) -> bool:
    """Blame the arguments for what their like raises, until they have worked once."""
    return isinstance(error, TypeError | ValueError) and not state.succeeded


def _halve(state: MonitorState, error: Exception) -> bool:
    """Halve batches if that may help; scores do not depend on them."""
    settings = state.settings
    out_of_memory = isinstance(error, torch.OutOfMemoryError) or is_oom_error(error)
    if not (settings.halves_batches and settings.max_batch_size > 1 and out_of_memory):
        return False
    state.settings = replace(settings, max_batch_size=settings.max_batch_size // 2)
    return True
