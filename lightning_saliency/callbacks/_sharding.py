"""Modules whose parameters are spread over processes: every pass is a collective, so that all run equally many."""

from collections.abc import Iterable
from typing import Any, TypeVar

import lightning.pytorch as pl
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy

from lightning_saliency.callbacks._distributed import Fault, agree_on_fault
from lightning_saliency.callbacks._settings import Settings
from lightning_saliency.methods import FullGrad
from lightning_saliency.metrics import ParameterRandomization
from lightning_saliency.passes.propagation import Ruled

Item = TypeVar("Item")


def is_sharded(trainer: pl.Trainer) -> bool:
    """Return whether a pass of one process needs the others."""
    return isinstance(trainer.strategy, ModelParallelStrategy)


def refuse_unshardable(trainer: pl.Trainer, settings: Settings) -> None:
    """Refuse strategies whose modules cannot be called, and what would make processes run unequal passes.

    Raises:
        TypeError: If the strategy cannot work.
        ValueError: If an argument cannot, by its name.
    """
    name = type(trainer.strategy).__name__
    if isinstance(trainer.strategy, FSDPStrategy | DeepSpeedStrategy):
        raise TypeError(
            f"Expected a strategy whose module can be called outside of its steps, but got {name}: use DDPStrategy, "
            "or ModelParallelStrategy (FSDP2) for what does not fit on one device."
        )
    culprits = _culprits(settings) if is_sharded(trainer) else []
    if culprits:
        raise ValueError(
            f"Expected what runs equally many passes on all processes, and leaves parameters alone, under {name}, "
            f"but got {', '.join(culprits)}: leave it out."
        )


def share_of(indices: list[int], trainer: pl.Trainer) -> list[int]:
    """Return this process's images: its own, and where passes are collectives as many as others have.

    What fills a share up is found twice, and counts once.
    """
    if not isinstance(trainer.strategy, ModelParallelStrategy):
        return indices[trainer.global_rank :: trainer.world_size]
    places = trainer.strategy.distributed_sampler_kwargs
    rank, replicas = int(places["rank"]), int(places["num_replicas"])
    own = indices[rank::replicas]
    missing = -(-len(indices) // replicas) - len(own)
    return own + indices[:1] * missing


def read_together(items: Iterable[Item], trainer: pl.Trainer) -> list[Item]:
    """Read all before the first pass, so that no process waits in a pass for one that cannot read.

    Raises:
        RuntimeError: On every process, if one of them cannot.
    """
    fault: Fault | None = None
    batches: list[Item] = []
    try:
        batches = list(items)
    except Exception as error:  # noqa: BLE001 - other processes wait for this one
        fault = Fault.of(error)
    agreed = agree_on_fault(fault, trainer)
    if agreed is not None:
        raise RuntimeError(agreed.description)
    return batches


def _culprits(settings: Settings) -> list[str]:
    found = []
    if settings.halves_batches:
        found.append("`max_batch_size` 'auto'")
    if settings.max_seconds is not None:
        found.append("`max_seconds`")
    if settings.min_confidence > 0:
        found.append("`min_confidence`")
    found += [
        f"metric {name!r}" for name, metric in settings.metrics.items() if isinstance(metric, ParameterRandomization)
    ]
    return found + [f"method {name!r}" for name, method in settings.methods.items() if _hooks_layers(method)]


def _hooks_layers(method: Any) -> bool:
    """Tell methods that replace what flows back, or look into every layer, which they would do to shards."""
    ruled = any(isinstance(reading.points, Ruled) for reading in getattr(method, "readings", ()))
    return ruled or isinstance(method, FullGrad)
