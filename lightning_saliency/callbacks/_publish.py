"""Send results to loggers and files: by the first process, to which the others send the images that are drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger

from lightning_saliency.callbacks._dashboard import charts
from lightning_saliency.callbacks._distributed import send_to_first, tell_everyone
from lightning_saliency.callbacks._lightning import log_folder
from lightning_saliency.callbacks._table import append_rows
from lightning_saliency.loggers import write_layout, write_picture, write_text
from lightning_saliency.monitor.card import card
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.drawing import draw_curve_figures, draw_strips
from lightning_saliency.monitor.evaluate import Thumbnail
from lightning_saliency.monitor.evaluation import Evaluation
from lightning_saliency.monitor.fault import Fault
from lightning_saliency.monitor.memory import Memory
from lightning_saliency.monitor.summary import rows
from lightning_saliency.names import Stage, card_name, staged, table_file


@dataclass(frozen=True)
class Publication:
    """The results that the first process publishes.

    Attributes:
        evaluation: The results of all processes.
        values: The logged values.
        stage: The stage of the trainer.
        memory: Maps of earlier evaluations.
        panels: Images that are always drawn.
        resumed: Whether the run has just been resumed, so that rows from this step on are in the table already.
        monitors: The settings of all monitors, if this is the first evaluation of a run; none otherwise.
    """

    evaluation: Evaluation
    values: dict[str, float]
    stage: Stage
    memory: Memory
    panels: Sequence[int]
    resumed: bool
    monitors: Sequence[Settings]


def publishes(trainer: pl.Trainer) -> bool:
    """Return whether there is anything to publish to."""
    return bool(trainer.loggers) and not trainer.fast_dev_run  # type: ignore[attr-defined]  # set at run time


def publish(
    trainer: pl.Trainer, thumbnails: Mapping[int, Thumbnail], publication: Publication | None, settings: Settings
) -> Fault | None:
    """Collect the images that are drawn, draw and write.

    Args:
        trainer: The trainer.
        thumbnails: The drawn images that this process has.
        publication: The results to publish, on the first process.
        settings: The monitor's settings.

    Returns:
        The fault of the first process, if there is one; where a fault has to stop training, every process knows.
    """
    fault: Fault | None = None
    parts = send_to_first(dict(thumbnails), trainer)
    if publication is not None:
        try:
            collected = {index: thumbnail for part in parts for index, thumbnail in part.items()}
            folder, epoch, step = log_folder(trainer), trainer.current_epoch, trainer.global_step
            write_results(trainer.loggers, folder, epoch, step, collected, publication, settings)
        except Exception as error:  # noqa: BLE001 - a full disk or a logger's fault must not stop training
            fault = Fault.of(error)
    return tell_everyone(fault, trainer) if settings.on_error == "raise" else fault


def write_results(
    loggers: Sequence[Logger],
    folder: Path,
    epoch: int,
    step: int,
    thumbnails: Mapping[int, Thumbnail],
    publication: Publication,
    settings: Settings,
) -> None:
    """Draw, and write pictures, texts and charts to loggers and the table into a folder."""
    evaluation = publication.evaluation
    start = staged(settings.name, publication.stage)
    pictures = draw_strips(evaluation, thumbnails, publication.panels, settings, publication.memory, start)
    pictures |= draw_curve_figures(evaluation, settings, start)
    for logger in loggers:
        if publication.monitors:
            write_layout(logger, charts(publication.monitors))
            write_text(logger, card_name(start), card(evaluation, settings, publication.values), step)
        for tag, picture in pictures.items():
            write_picture(logger, tag, picture, step)
    # Last, so that a run killed before has no rows of an evaluation that it repeats.
    table = rows(evaluation, epoch, step)
    append_rows(folder / table_file(settings.name), table, step if publication.resumed else None)
