"""The start of an evaluation: the images it is about, and what processes exchange before they work."""

import sys
from dataclasses import replace
from itertools import count
from typing import Any

import lightning.pytorch as pl

from lightning_saliency._random import private_random_state
from lightning_saliency._saliency_method import as_method
from lightning_saliency._signals import signals_held
from lightning_saliency.callbacks._distributed import agree_on_fault, ddp_will_share_buffers, first_buffers
from lightning_saliency.callbacks._lightning import averages_later, reading_of, source_in_loop
from lightning_saliency.callbacks._own_data import choose_together
from lightning_saliency.callbacks._run import Run
from lightning_saliency.callbacks._sharding import is_sharded
from lightning_saliency.callbacks._state import MonitorState
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.fault import Fault
from lightning_saliency.monitor.items import Source
from lightning_saliency.monitor.subset import CPU, IMAGES_IN_CHECK, Subset, choose_subset


def arm(
    trainer: pl.Trainer, pl_module: pl.LightningModule, monitor: pl.Callback, state: MonitorState, dataloaders: Any
) -> Run:
    """Return a new evaluation, for which this process has all it needs from others."""
    settings, check, world_size = state.settings, trainer.sanity_checking, trainer.world_size
    source = source_in_loop(trainer, dataloaders, settings.dataloader_idx)
    if source.size is None and is_sharded(trainer):
        raise ValueError(
            "Expected validation data that can be read by index, since all processes have to explain equally "
            f"many, but got {type(source.dataset).__name__}: use a data set of known size."
        )
    subset = _choose(trainer, state, source, check=check)
    if source.size is not None and len(subset.indices) < settings.num_images and not check:
        state.warn(
            "few images",
            f"`num_images` is {settings.num_images}, but there are only {len(subset.indices)} images. "
            "Using all of them.",
        )
    run = Run(
        subset=subset,
        check=check,
        trains=trainer.state.fn == "fit" and not check,
        epoch=trainer.current_epoch,
        step=trainer.global_step,
        collects=source.size is None and not subset.batches,
        num_images=IMAGES_IN_CHECK if check else len(range(trainer.global_rank, settings.num_images, world_size)),
        numbers=count(trainer.global_rank, world_size),
        waits=trainer.state.fn == "fit" and ddp_will_share_buffers(trainer),
    )
    _mention_interrupted(state, run)
    with signals_held():
        _exchange(trainer, pl_module, monitor, run, settings)
    return run


def _mention_interrupted(state: MonitorState, run: Run) -> None:
    if run.trains and state.interrupted == (run.epoch, run.step):
        state.interrupted = None  # this is the validation that was interrupted
    elif run.trains:
        state.mention_interrupted()


def _choose(trainer: pl.Trainer, state: MonitorState, source: Source, *, check: bool) -> Subset:
    """Return the images that this run watches, chosen at its first evaluation."""
    settings = state.settings
    if check:
        return choose_subset(source, settings.num_images, settings.seed, lambda indices: indices[:IMAGES_IN_CHECK])
    if settings.dataloader_idx not in state.subsets:
        with signals_held():
            state.subsets[settings.dataloader_idx] = choose_together(trainer, state, source)
    subset = state.subsets[settings.dataloader_idx]
    if not subset.batches:
        subset.source = replace(source, offset=subset.source.offset)
    elif subset.source.loader is not source.loader:
        state.warn("reloaded", "The data loader was made anew. The monitor keeps the images that it has read.")
    return subset


def _exchange(
    trainer: pl.Trainer, pl_module: pl.LightningModule, monitor: pl.Callback, run: Run, settings: Settings
) -> None:
    """Exchange beforehand what processes need for their work: no collective is started between batches."""
    if not run.waits and not averages_later(trainer, monitor):
        run.buffers = first_buffers(trainer, pl_module)
    if is_sharded(trainer):
        fault = agree_on_fault(_read_before(trainer, pl_module, run, settings), trainer)
        if fault is not None:
            run.fail(RuntimeError(fault.description), is_configuration=False)


def _read_before(trainer: pl.Trainer, pl_module: pl.LightningModule, run: Run, settings: Settings) -> Fault | None:
    """Read before any pass, so that no process waits in a pass for one that cannot read."""
    reading = reading_of(trainer, pl_module, settings)
    try:
        with private_random_state(settings.seed):
            run.subset.first_images(reading, CPU)
            run.subset.read(reading, sys.maxsize)
            for name, method in settings.all_methods.items():
                number = as_method(method, name).missing_references
                if number is not None:
                    run.subset.reference_images(number, reading, CPU)
    except Exception as error:  # noqa: BLE001 - other processes wait for this one
        return Fault.of(error)
    return None
