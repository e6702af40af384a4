"""What the callbacks ask of a trainer."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_saliency.callbacks._settings import Settings


def evaluation_loop(trainer: pl.Trainer) -> Any:
    """Return the loop that validates or tests now."""
    loops = {"validate": trainer.validate_loop, "test": trainer.test_loop}
    return loops.get(str(trainer.state.fn and trainer.state.fn.value), trainer.fit_loop.epoch_loop.val_loop)


def deciding_value(trainer: pl.Trainer, settings: Settings) -> tuple[float, bool] | None:
    """Return the value that says how good this evaluation is, and whether higher is better.

    It is what the first checkpoint monitors, else the first metric of the first method.
    """
    name, higher_is_better = _deciding_name(trainer, settings)
    value = trainer.callback_metrics.get(name)
    return None if value is None else (value.item(), higher_is_better)


def _deciding_name(trainer: pl.Trainer, settings: Settings) -> tuple[str, bool]:
    for checkpoint in trainer.checkpoint_callbacks:
        if isinstance(checkpoint, ModelCheckpoint) and checkpoint.monitor is not None:
            return checkpoint.monitor, checkpoint.mode == "max"
    metric, specification = next(iter(settings.metrics.items()))
    return f"{settings.name}/{next(iter(settings.methods))}/{metric}", specification.higher_is_better
