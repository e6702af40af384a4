"""The end of an evaluation: merge, log, publish, remember."""

import time
from dataclasses import replace

import lightning.pytorch as pl

from lightning_saliency.callbacks._alarm import act
from lightning_saliency.callbacks._asked_names import asked_names
from lightning_saliency.callbacks._card_author import remark_in
from lightning_saliency.callbacks._conclusion import Conclusion, conclude
from lightning_saliency.callbacks._distributed import agree_on_fault
from lightning_saliency.callbacks._lightning import stage_of
from lightning_saliency.callbacks._publish import Publication, publish
from lightning_saliency.callbacks._run import Run
from lightning_saliency.callbacks._state import INCOMPLETE, SKIPPED, MonitorState
from lightning_saliency.monitor.alarms import Watch
from lightning_saliency.monitor.budget import budget_of
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.evaluated import Evaluated
from lightning_saliency.monitor.fault import Fault
from lightning_saliency.monitor.history import Record
from lightning_saliency.monitor.memory import Memory
from lightning_saliency.monitor.results import Evaluation
from lightning_saliency.monitor.selection import complaints_about_log, logged_values
from lightning_saliency.monitor.summary import Outcome, complaints
from lightning_saliency.names import staged


def report(
    trainer: pl.Trainer, pl_module: pl.LightningModule, state: MonitorState, run: Run, monitors: list[Settings]
) -> None:
    """Merge the results of all processes, and tell, write and keep them; of the sanity run only its fault."""
    started = time.perf_counter()
    try:
        _report(trainer, pl_module, state, run, monitors)
    finally:
        # The values are logged before pictures are drawn, so that this time counts with the next evaluation.
        state.spent = 0.0 if run.check else time.perf_counter() - started


def _report(
    trainer: pl.Trainer, pl_module: pl.LightningModule, state: MonitorState, run: Run, monitors: list[Settings]
) -> None:
    evaluated = run.evaluated or Evaluated()
    if run.check:
        fault = agree_on_fault(evaluated.evaluation.fault, trainer)
        if fault is not None:
            state.settle(fault, run.error)
        # From here on the data are to blame for what the arguments would be.
        state.succeeded |= fault is None and evaluated.evaluation.num_read > 0
        return
    conclusion = conclude(
        trainer,
        evaluated,
        state.memory if run.trains else Memory(),
        state.settings,
        compares_images=run.trains and state.compares_images,
        clock=state.clock if run.trains else None,
        previous=state.watch.decision if run.trains else None,
    )
    outcome = conclusion.outcome
    if outcome.fault is not None:
        state.settle(outcome.fault, run.error)
        return
    state.succeeded = True
    if outcome.drift_restarts:
        state.warn("data", "The validation data changed since the checkpoint was written. Drift restarts.")
        state.memory = Memory()
    state.last = Evaluation(
        conclusion.evaluation,
        state.settings,
        {index: image for index, image in evaluated.thumbnails.items() if index in conclusion.panels},
        conclusion.panels,
    )
    _log(trainer, pl_module, state, outcome)
    watch = _watch(state, run, outcome)
    unpublished = _publish(trainer, state, run, evaluated, conclusion, monitors, watch)
    if run.trains:
        state.watch = watch
        _remember(state, conclusion)
    for fault in (outcome.loss, unpublished):
        if fault is not None:
            state.settle(fault, None, INCOMPLETE if fault is unpublished else SKIPPED)
    state.introduced |= unpublished is None
    act(trainer, state, watch)


def _watch(state: MonitorState, run: Run, outcome: Outcome) -> Watch:
    """Return what is to be said of cues; only training has evaluations before."""
    if outcome.alarm is None:
        return Watch()
    return state.watch.after(outcome.alarm, run.epoch) if run.trains else Watch(outcome.alarm)


def _log(trainer: pl.Trainer, pl_module: pl.LightningModule, state: MonitorState, outcome: Outcome) -> None:
    """Log what is asked for of values that are the same on every process, and keep a record of all."""
    stage = stage_of(trainer)
    values = logged_values(outcome.scalars, state.settings, asked_names(trainer))
    # Together the two arguments mean that Lightning starts no collective for a value, and gives no advice to.
    staged_values = {staged(name, stage): value for name, value in values.items()}
    pl_module.log_dict(staged_values, sync_dist=True, rank_zero_only=True, reduce_fx="max")
    if outcome.loss is None:
        for key, message in complaints_about_log(outcome.scalars, state.settings).items():
            state.warn(key, message)
    record = Record(
        stage,
        trainer.current_epoch,
        trainer.global_step,
        {name: scalar.value for name, scalar in outcome.scalars.items()},
        {name: scalar.error for name, scalar in outcome.scalars.items() if scalar.error is not None},
        {name: scalar.num_images for name, scalar in outcome.scalars.items()},
    )
    state.add(record, writes=trainer.is_global_zero)


def _publish(
    trainer: pl.Trainer,
    state: MonitorState,
    run: Run,
    evaluated: Evaluated,
    conclusion: Conclusion,
    monitors: list[Settings],
    watch: Watch,
) -> Fault | None:
    """Send results to loggers, and complain about unhealthy maps."""
    outcome, publication = conclusion.outcome, None
    if trainer.is_global_zero:
        swaps = remark_in(trainer, state.settings.name)
        state.introduced &= swaps == state.swaps
        state.swaps = swaps
        publication = Publication(
            conclusion.evaluation,
            outcome,
            stage_of(trainer),
            state.run_id,
            state.memory if run.trains else Memory(),
            conclusion.panels,
            run.trains and state.resumed,
            monitors,
            None if state.introduced else state.preflight,
            watch,
            swaps,
        )
        if outcome.loss is None:
            for key, message in complaints(conclusion.evaluation, state.settings).items():
                state.warn(key, message)
    if not outcome.publishes:
        return None
    return publish(trainer, evaluated.shown(outcome.pictured, outcome.alarm), publication, state.settings)


def _remember(state: MonitorState, conclusion: Conclusion) -> None:
    """Keep what later evaluations are compared with; checkpoints need what the first process has of all images."""
    state.resumed = state.compares_images = False
    if conclusion.outcome.loss is None:
        state.memory.remember(conclusion.evaluation, conclusion.outcome.scalars, state.settings)
    _keep_to_budget(state, conclusion.outcome)


def _keep_to_budget(state: MonitorState, outcome: Outcome) -> None:
    """Fix batches and, after the first evaluation, images for the rest of the run, the same on every process."""
    state.settings = replace(state.settings, max_batch_size=outcome.batch_size)
    budget = budget_of(state.settings, outcome.training_seconds)
    if budget is None:
        return
    affordable = state.settings.num_images
    if outcome.seconds > budget.seconds:
        affordable = max(1, int(outcome.num_read * budget.seconds / outcome.seconds))
        state.warn(
            "budget",
            f"Explaining {outcome.num_read} images took {outcome.seconds:.1f} s (limit {budget}). "
            f"Using {affordable} image(s) from now on.",
        )
    state.afford(affordable)
