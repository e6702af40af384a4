"""Send what was found to loggers and files: drawn where the images are, written by one process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
from torch import Tensor

from lightning_saliency.callbacks._card import card
from lightning_saliency.callbacks._dashboard import charts
from lightning_saliency.callbacks._drawing import draw_curve_figures, draw_strips
from lightning_saliency.callbacks._drift import Memory
from lightning_saliency.callbacks._evaluation import Evaluated
from lightning_saliency.callbacks._findings import Fault, first_fault, from_everyone
from lightning_saliency.callbacks._reporting import Summary, rows
from lightning_saliency.callbacks._settings import Settings
from lightning_saliency.callbacks._table import append_rows
from lightning_saliency.callbacks._trainer import log_folder
from lightning_saliency.loggers import write_layout, write_picture, write_text


@dataclass(frozen=True)
class Occasion:
    """What there is to publish besides the findings themselves.

    Attributes:
        memory: Maps of earlier evaluations.
        resumed: Whether the run has just been taken up again, and rows from here on stand in the table already.
        introduces: The settings of all monitors, if this is the first evaluation of a run; none otherwise.
    """

    memory: Memory
    resumed: bool
    introduces: Sequence[Settings]


def publish(
    trainer: pl.Trainer, own: Evaluated, summary: Summary, settings: Settings, occasion: Occasion
) -> Fault | None:
    """Draw, collect and write; a fault anywhere is known to every process."""
    if not trainer.loggers or trainer.fast_dev_run:  # type: ignore[attr-defined]  # set at run time
        return None
    folder = log_folder(trainer)
    drawn: dict[str, Tensor] = {}
    fault: Fault | None = None
    try:
        drawn = draw_strips(own, summary.whole, settings, occasion.memory, summary.drift)
    except Exception as error:  # noqa: BLE001 - other processes wait for this one
        fault = Fault.of(error)
    everyone = from_everyone((drawn, fault))
    fault = first_fault([found for _, found in everyone])
    if trainer.is_global_zero:
        pictures = {tag: picture for part, _ in everyone for tag, picture in part.items()}
        try:
            _write(trainer, pictures, folder, summary, settings, occasion)
        except Exception as error:  # noqa: BLE001 - a full disk or a logger's fault must not stop training
            fault = fault or Fault.of(error)
    return first_fault(from_everyone(fault))


def _write(
    trainer: pl.Trainer,
    pictures: dict[str, Tensor],
    folder: Path,
    summary: Summary,
    settings: Settings,
    occasion: Occasion,
) -> None:
    step = trainer.global_step
    pictures = pictures | draw_curve_figures(summary.whole, settings)
    for logger in trainer.loggers:
        if occasion.introduces:
            write_layout(logger, charts(occasion.introduces))
            write_text(logger, f"{settings.name}/card", card(summary.whole, settings, summary.values), step)
        for tag, picture in pictures.items():
            write_picture(logger, tag, picture, step)
    # Last, so that a run killed before has no rows of an evaluation that it repeats.
    found = rows(summary.whole, summary.drift, trainer.current_epoch, step)
    append_rows(folder / f"{settings.name}.csv", found, step if occasion.resumed else None)
