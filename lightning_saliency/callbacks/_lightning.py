"""Questions of the callbacks to a trainer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import NoneType
from typing import Any, Final

import lightning.pytorch as pl
from lightning.pytorch import callbacks as lightning_callbacks
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import CombinedLoader
from torch import nn

from lightning_saliency._name_spaces import is_kind, overrides, twins
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.discovery import network_of
from lightning_saliency.monitor.items import Reading, Source
from lightning_saliency.names import Stage

# Lightning 2.5 has no averaging of weights other than the stochastic one, which swaps nothing in a validation.
AVERAGING: tuple[type, ...] = tuple(
    twin for name in ("WeightAveraging",) for twin in twins(getattr(lightning_callbacks, name, NoneType))
)

TRANSFER_HOOKS: Final = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


def find_source(dataloaders: Any, dataloader_idx: int) -> Source:
    """Pick one of the loaders.

    Raises:
        ValueError: If there are not so many.
    """
    loaders = CombinedLoader(dataloaders, "sequential").flattened
    if dataloader_idx >= len(loaders):
        raise ValueError(
            f"`dataloader_idx` must be below {len(loaders)}, the number of loaders, but got {dataloader_idx}."
        )
    return Source(loaders[dataloader_idx], dataloader_idx)


def source_in_loop(trainer: pl.Trainer, dataloaders: Any, dataloader_idx: int) -> Source:
    """Pick one of the loaders of the present evaluation, with its place where a batch has a part from each loader.

    Transfer hooks may need all parts of such a batch, so that only the user's loop can read it.

    Raises:
        ValueError: If there are not so many loaders.
    """
    source = find_source(dataloaders, dataloader_idx)
    combined = getattr(evaluation_loop(trainer), "_combined_loader", None)
    if getattr(combined, "_mode", "sequential") == "sequential":
        return source
    place = _path_to(source.loader, dataloaders) or ()
    has_hooks = any(_overrides(owner, hook) for owner in _owners(trainer) for hook in TRANSFER_HOOKS)
    return replace(source, place=place, is_stream=has_hooks)


def _path_to(loader: Any, loaders: Any) -> tuple[Any, ...] | None:
    """Return the keys that lead to a loader, `None` where it is not among the loaders."""
    if loaders is loader:
        return ()
    if not isinstance(loaders, Mapping | list | tuple):
        return None  # to go through a loader would draw a random number, and start its workers
    for key, part in loaders.items() if isinstance(loaders, Mapping) else enumerate(loaders):
        path = _path_to(loader, part)
        if path is not None:
            return (key, *path)
    return None


def _owners(trainer: pl.Trainer) -> tuple[Any, ...]:
    """List the objects that have transfer hooks, the one whose hooks count first."""
    owners = (getattr(trainer, "datamodule", None), trainer.lightning_module)
    return tuple(owner for owner in owners if owner is not None)


def owner_of(trainer: pl.Trainer, hook: str) -> Any:
    """Return the module or data module whose transfer hook Lightning calls."""
    owners = _owners(trainer)
    return next((owner for owner in owners if hook in vars(owner) or _overrides(owner, hook)), owners[-1])


def _overrides(owner: Any, hook: str) -> bool:
    kind = pl.LightningDataModule if is_kind(owner, pl.LightningDataModule) else pl.LightningModule
    return overrides(owner, kind, hook)


def reading_of(trainer: pl.Trainer, pl_module: pl.LightningModule, settings: Settings) -> Reading:
    """Read batches as Lightning reads those of its own loops."""
    owners, owner = _owners(trainer), owner_of(trainer, "on_before_batch_transfer")
    dataloader_idx = settings.dataloader_idx

    def transfer(batch: Any) -> Any:
        batch = owner.on_before_batch_transfer(trainer.precision_plugin.convert_input(batch), dataloader_idx)
        return trainer.strategy.batch_to_device(batch, dataloader_idx=dataloader_idx)

    return Reading(transfer, settings.batch, settings.max_batch_size, settings.seed, owners)


def network_in(pl_module: pl.LightningModule, settings: Settings) -> nn.Module:
    """Return a module that maps images to logits.

    Raises:
        TypeError: If the attribute path does not lead to a module.
        ValueError: If there is no such attribute, or the module itself was chosen and has no forward.
    """
    if settings.model is None and not overrides(pl_module, pl.LightningModule, "forward"):
        parts = [repr(name) for name, part in pl_module.named_children() if any(True for _ in part.parameters())]
        raise ValueError(
            f"{type(pl_module).__name__} must have a `forward` from images to logits, but got none.  "
            "Pass `model`, the name of the attribute that holds the network, or a function of the module and images."
            + (f"  Attributes with parameters: {', '.join(parts)}." if parts else "")
        )
    return network_of(pl_module, settings.model, settings.output)


def refuse_namesakes(kind: str, names: Sequence[str], name: str) -> None:
    """Refuse a name that several callbacks of a kind have.

    Raises:
        ValueError: If there are several.
    """
    if names.count(name) > 1:
        raise ValueError(f"`name` must be another one for every {kind}, but got {name!r} more than once.  Pass `name`.")


def evaluates_in(trainer: pl.Trainer, stage: str) -> bool:
    """Return whether a stage has evaluations: training if it validates, and never a prediction."""
    return trainer.enable_validation if stage == "fit" else stage in ("validate", "test")


def validates_at_epoch_end(trainer: pl.Trainer) -> bool:
    """Return whether the weights at the end of an epoch are those of its last validation."""
    batches, interval = trainer.num_training_batches, trainer.val_check_batch
    if interval == math.inf:  # an epoch of unknown length that is validated once
        return True
    if not interval or batches == math.inf or trainer.check_val_every_n_epoch is None:
        return False
    return batches % interval == 0


def validates_by_epochs(trainer: pl.Trainer) -> bool:
    """Return whether validations are counted from the start of each epoch, and not by batches of the whole training."""
    return trainer.check_val_every_n_epoch is not None


def move_before_checkpoints(trainer: pl.Trainer, first: Sequence[pl.Callback]) -> list[pl.Callback]:
    """Move some callbacks before all other ones that save, and return the order before.

    Lightning has put those that save at the end.
    """
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set at run time
    others = [callback for callback in callbacks if callback not in first]
    saving = [callback for callback in others if is_kind(callback, Checkpoint)]
    rest = [callback for callback in others if callback not in saving]
    trainer.callbacks = [*rest, *first, *saving]  # type: ignore[attr-defined]
    return callbacks


def move_back(trainer: pl.Trainer, order: Sequence[pl.Callback]) -> None:
    """Give callbacks the order they had; those that have come since stay at the end."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set at run time
    places = {callback: place for place, callback in enumerate(order)}
    trainer.callbacks = sorted(  # type: ignore[attr-defined]
        callbacks, key=lambda callback: places.get(callback, len(places))
    )


def evaluation_loop(trainer: pl.Trainer) -> Any:
    """Return the loop that validates or tests now."""
    loops = {"validate": trainer.validate_loop, "test": trainer.test_loop, "fit": trainer.fit_loop.epoch_loop.val_loop}
    return loops[stage_of(trainer)]


def has_validation_images(trainer: pl.Trainer) -> bool:
    """Return whether validations of this training will have a batch, by what the trainer knows yet."""
    sizes = trainer.num_val_batches
    return trainer.enable_validation and (not sizes or sum(sizes) > 0)


def publishes(trainer: pl.Trainer) -> bool:
    """Return whether results are drawn and written: in all but a quick trial and a run without any extras."""
    return not (trainer.fast_dev_run or trainer.barebones)  # type: ignore[attr-defined]  # set at run time


def stage_of(trainer: pl.Trainer) -> Stage:
    """Return the stage of an evaluation."""
    stages: dict[str, Stage] = {"validate": "validate", "test": "test"}
    return stages.get(str(trainer.state.fn and trainer.state.fn.value), "fit")


def averages_later(trainer: pl.Trainer, monitor: pl.Callback) -> bool:
    """Return whether averaged weights come into place only after this monitor's hook, and their buffers with them."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set at run time
    later = callbacks[callbacks.index(monitor) + 1 :]
    return trainer.state.fn == "fit" and any(isinstance(callback, AVERAGING) for callback in later)


def is_fresh(trainer: pl.Trainer) -> bool:
    """Return whether training starts anew, and neither continues the same trainer's nor resumes: for `setup`."""
    progress: Any = trainer.fit_loop.epoch_progress
    return bool(progress.current.processed == 0)


def log_folder(trainer: pl.Trainer) -> str:
    """Return the folder of this run, a path or an address that fsspec knows, on the first process.

    It is not `trainer.log_dir`, which is a collective. Loggers other than Lightning's own for TensorBoard and CSV have
    one folder for all runs, in which a run is found by name and version.
    """
    logger = trainer.logger
    if logger is None:
        return str(trainer.default_root_dir)
    if is_kind(logger, TensorBoardLogger, CSVLogger):
        return str(logger.log_dir)
    parts = (logger.save_dir or trainer.default_root_dir, logger.name, logger.version)
    return "/".join(str(part) for part in parts if part is not None)
