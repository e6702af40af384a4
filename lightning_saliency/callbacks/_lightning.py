"""Questions of the callbacks to a trainer."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch import callbacks as lightning_callbacks
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import CombinedLoader
from torch import nn

from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.discovery import network_of
from lightning_saliency.monitor.subset import Reading, Source
from lightning_saliency.names import Stage

# Lightning 2.4 has no averaging of weights other than the stochastic one, which swaps nothing in a validation.
AVERAGING: tuple[type, ...] = tuple(
    kind for name in ("WeightAveraging",) if (kind := getattr(lightning_callbacks, name, None)) is not None
)


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


def reading_of(trainer: pl.Trainer, pl_module: pl.LightningModule, settings: Settings) -> Reading:
    """Read batches as Lightning reads those of its own loops."""
    owner: Any = pl_module
    datamodule = getattr(trainer, "datamodule", None)
    hook = "on_before_batch_transfer"
    if datamodule is not None and getattr(type(datamodule), hook) is not getattr(pl.LightningDataModule, hook):
        owner = datamodule
    dataloader_idx = settings.dataloader_idx

    def transfer(batch: Any) -> Any:
        batch = owner.on_before_batch_transfer(trainer.precision_plugin.convert_input(batch), dataloader_idx)
        return trainer.strategy.batch_to_device(batch, dataloader_idx=dataloader_idx)

    return Reading(transfer, settings.batch, settings.max_batch_size, settings.seed)


def network_in(pl_module: pl.LightningModule, settings: Settings) -> nn.Module:
    """Return a module that maps images to logits.

    Raises:
        TypeError: If the attribute path does not lead to a module.
        ValueError: If there is no such attribute, or the module itself was chosen and has no forward.
    """
    if settings.model is None and type(pl_module).forward is pl.LightningModule.forward:
        raise ValueError(
            f"{type(pl_module).__name__} must have a `forward` from images to logits, but got none.  "
            "Pass `model`, the name of the attribute that holds the network."
        )
    return network_of(pl_module, settings.model, settings.output)


def evaluation_loop(trainer: pl.Trainer) -> Any:
    """Return the loop that validates or tests now."""
    loops = {"validate": trainer.validate_loop, "test": trainer.test_loop, "fit": trainer.fit_loop.epoch_loop.val_loop}
    return loops[stage_of(trainer)]


def has_validation_images(trainer: pl.Trainer) -> bool:
    """Return whether validations of this training will have a batch, by what the trainer knows yet."""
    sizes = trainer.num_val_batches
    return trainer.enable_validation and (not sizes or sum(sizes) > 0)


def publishes(trainer: pl.Trainer) -> bool:
    """Return whether there is anything to publish to."""
    return bool(trainer.loggers) and not trainer.fast_dev_run  # type: ignore[attr-defined]  # set at run time


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


def log_folder(trainer: pl.Trainer) -> Path:
    """Return the folder of this run, on the first process.

    It is not `trainer.log_dir`, which is a collective. Loggers other than Lightning's own for TensorBoard and CSV have
    one folder for all runs, in which a run is found by name and version.
    """
    logger = trainer.logger
    if logger is None:
        return Path(trainer.default_root_dir)
    if isinstance(logger, TensorBoardLogger | CSVLogger):
        return Path(logger.log_dir)
    parts = (str(part) for part in (logger.name, logger.version) if part is not None)
    return Path(logger.save_dir or trainer.default_root_dir).joinpath(*parts)
