"""Send what was found to loggers and files: drawn where the images are, written by one process."""

from pathlib import Path
from typing import Any, Final

import lightning.pytorch as pl
from torch import Tensor

from lightning_saliency.callbacks._drift import Memory
from lightning_saliency.callbacks._evaluation import Evaluated
from lightning_saliency.callbacks._findings import Fault, Findings, first_fault, from_everyone
from lightning_saliency.callbacks._reporting import Drift, draw_strips, rows
from lightning_saliency.callbacks._settings import Settings
from lightning_saliency.callbacks._table import append_rows
from lightning_saliency.loggers import write_picture

TABLE: Final = "saliency.csv"


def publish(
    trainer: pl.Trainer, own: Evaluated, whole: Findings, settings: Settings, memory: Memory, drift: Drift
) -> Fault | None:
    """Draw, collect and write; a fault anywhere is known to every process."""
    if not trainer.loggers:
        return None
    folder = trainer.log_dir  # asked on every process, since it is agreed on
    drawn: dict[str, Tensor] = {}
    fault: Fault | None = None
    try:
        drawn = draw_strips(own, whole, settings, memory, drift)
    except Exception as error:  # noqa: BLE001 - other processes wait for this one
        fault = _fault(error)
    everyone = from_everyone((drawn, fault))
    fault = first_fault([found for _, found in everyone])
    if trainer.is_global_zero:
        pictures = {tag: picture for part, _ in everyone for tag, picture in part.items()}
        fault = fault or _write(trainer, folder, pictures, whole, settings, drift)
    return first_fault(from_everyone(fault))


def _write(
    trainer: pl.Trainer,
    folder: Any,
    pictures: dict[str, Tensor],
    whole: Findings,
    settings: Settings,
    drift: Drift,
) -> Fault | None:
    try:
        for logger in trainer.loggers:
            for tag, picture in pictures.items():
                write_picture(logger, tag, picture, trainer.global_step)
        if folder is not None:
            table = Path(folder) / TABLE.replace("saliency", settings.name)
            append_rows(table, rows(whole, drift, trainer.current_epoch, trainer.global_step))
    except Exception as error:  # noqa: BLE001 - a full disk or a logger's fault must not stop training
        return _fault(error)
    return None


def _fault(error: Exception) -> Fault:
    return Fault(is_configuration=False, description=f"{type(error).__name__}: {error}")
