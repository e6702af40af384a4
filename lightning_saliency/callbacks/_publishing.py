"""Send what was found to loggers and files: drawn where the images are, written by one process."""

from pathlib import Path

import lightning.pytorch as pl
from torch import Tensor

from lightning_saliency.callbacks._drift import Memory
from lightning_saliency.callbacks._evaluation import Evaluated
from lightning_saliency.callbacks._findings import Fault, first_fault, from_everyone
from lightning_saliency.callbacks._reporting import Summary, draw_strips, rows
from lightning_saliency.callbacks._settings import Settings
from lightning_saliency.callbacks._table import append_rows
from lightning_saliency.callbacks._trainer import log_folder
from lightning_saliency.loggers import write_picture


def publish(
    trainer: pl.Trainer, own: Evaluated, summary: Summary, settings: Settings, memory: Memory, *, resumed: bool
) -> Fault | None:
    """Draw, collect and write; a fault anywhere is known to every process."""
    if not trainer.loggers or trainer.fast_dev_run:  # type: ignore[attr-defined]  # set at run time
        return None
    folder = log_folder(trainer)
    drawn: dict[str, Tensor] = {}
    fault: Fault | None = None
    try:
        drawn = draw_strips(own, summary.whole, settings, memory, summary.drift)
    except Exception as error:  # noqa: BLE001 - other processes wait for this one
        fault = Fault.of(error)
    everyone = from_everyone((drawn, fault))
    fault = first_fault([found for _, found in everyone])
    if trainer.is_global_zero:
        pictures = {tag: picture for part, _ in everyone for tag, picture in part.items()}
        fault = fault or _write(trainer, pictures, folder / f"{settings.name}.csv", summary, resumed=resumed)
    return first_fault(from_everyone(fault))


def _write(
    trainer: pl.Trainer, pictures: dict[str, Tensor], table: Path, summary: Summary, *, resumed: bool
) -> Fault | None:
    try:
        for logger in trainer.loggers:
            for tag, picture in pictures.items():
                write_picture(logger, tag, picture, trainer.global_step)
        found = rows(summary.whole, summary.drift, trainer.current_epoch, trainer.global_step)
        append_rows(table, found, trainer.global_step if resumed else None)
    except Exception as error:  # noqa: BLE001 - a full disk or a logger's fault must not stop training
        return Fault.of(error)
    return None
