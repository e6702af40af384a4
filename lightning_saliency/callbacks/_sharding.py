"""Modules whose parameters are spread over processes: every pass is a collective, so that all run equally many."""

from typing import Final

import lightning.pytorch as pl
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy

from lightning_saliency._name_spaces import is_kind
from lightning_saliency._saliency_method import as_method
from lightning_saliency.callbacks._distributed import have_all_failed
from lightning_saliency.metrics import ParameterRandomization
from lightning_saliency.monitor.config import Settings

PATIENCE: Final = 10.0


def is_sharded(trainer: pl.Trainer) -> bool:
    """Return whether a pass of one process needs the others."""
    return is_kind(trainer.strategy, ModelParallelStrategy)


def refuse_unshardable(trainer: pl.Trainer, settings: Settings) -> None:
    """Refuse strategies whose modules cannot be called, and what would make processes run unequal passes.

    Raises:
        TypeError: If the strategy cannot work.
        ValueError: If an argument cannot, by its name.
    """
    name = type(trainer.strategy).__name__
    if is_kind(trainer.strategy, FSDPStrategy, DeepSpeedStrategy):
        raise TypeError(
            f"Expected a strategy whose module can be called outside of its steps, but got {name}: use DDPStrategy, "
            "or ModelParallelStrategy (FSDP2) for what does not fit on one device."
        )
    culprits = _culprits(settings) if is_sharded(trainer) else []
    if culprits:
        raise ValueError(
            f"{name} must have equally many passes on each process and unchanged parameters, but got "
            f"{', '.join(culprits)}.  Remove it."
        )


def go_on_only_together(trainer: pl.Trainer, error: Exception) -> None:
    """Let a fault be skipped only if all processes have it, since others would wait for this one in their next pass.

    Raises:
        RuntimeError: If others do not fail within some seconds, from the fault.
    """
    if is_sharded(trainer) and trainer.world_size > 1 and not have_all_failed(trainer, PATIENCE):
        raise RuntimeError(
            f"Explaining failed on process {trainer.global_rank} alone, and the others wait for it in a pass, "
            f"so that training cannot go on: {type(error).__name__}: {error}"
        ) from error


def share_of(indices: list[int], trainer: pl.Trainer) -> list[int]:
    """Return this process's images, and where passes are collectives as many as others have.

    An image that fills up a share is explained twice, and counts once.
    """
    if not is_kind(trainer.strategy, ModelParallelStrategy):
        return indices[trainer.global_rank :: trainer.world_size]
    places = trainer.strategy.distributed_sampler_kwargs
    rank, replicas = int(places["rank"]), int(places["num_replicas"])
    share = indices[rank::replicas]
    missing = -(-len(indices) // replicas) - len(share)
    return share + indices[:1] * missing


def _culprits(settings: Settings) -> list[str]:
    culprits = []
    if settings.halves_batches:
        culprits.append("`max_batch_size` 'auto'")
    if settings.max_seconds is not None:
        culprits.append("`max_seconds`")
    if settings.max_fraction_of_epoch is not None:
        culprits.append("`max_fraction_of_epoch`")
    if settings.min_confidence > 0:
        culprits.append("`min_confidence`")
    culprits += [
        f"metric {name!r}" for name, metric in settings.metrics.items() if isinstance(metric, ParameterRandomization)
    ]
    return culprits + [
        f"method {name!r}" for name, method in settings.methods.items() if as_method(method, name).watches_operations
    ]
