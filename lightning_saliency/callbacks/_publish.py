"""Send results to loggers and files: by the first process, to which the others send the images that are drawn."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_info

from lightning_saliency.callbacks._asked_names import asked_names
from lightning_saliency.callbacks._dashboard import charts
from lightning_saliency.callbacks._distributed import send_to_first, tell_everyone
from lightning_saliency.callbacks._lightning import log_folder
from lightning_saliency.callbacks._table import append_rows
from lightning_saliency.loggers import Folder, shows_pictures, write_layout, write_pictures, write_text
from lightning_saliency.monitor._markup import escaped
from lightning_saliency.monitor.alarms import Watch, sentence
from lightning_saliency.monitor.card import card
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.drawing import draw_curve_figures, draw_strips, draw_transplants
from lightning_saliency.monitor.evaluated import Shown
from lightning_saliency.monitor.evaluation import Evaluation
from lightning_saliency.monitor.fault import Fault
from lightning_saliency.monitor.memory import Memory
from lightning_saliency.monitor.preflight import Preflight
from lightning_saliency.monitor.summary import Outcome, rows, value_rows
from lightning_saliency.monitor.transplants import strongest
from lightning_saliency.names import (
    EVALUATION_COLUMNS,
    SCHEMA,
    SCORE_COLUMNS,
    Stage,
    alarm_name,
    card_name,
    evaluations_file,
    monitor_of,
    staged,
    table_file,
)


@dataclass(frozen=True)
class Publication:
    """The results that the first process publishes.

    Attributes:
        evaluation: The results of all processes.
        outcome: Its values.
        stage: The stage of the trainer.
        run: Id of the run.
        memory: Maps of earlier evaluations.
        panels: Images that are always drawn.
        resumed: Whether the run has just been resumed, so that rows from this step on are in the table already.
        monitors: The settings of all monitors.
        watch: The decision on cues.
        introduction: Subject and cost for the card, at the first evaluation of a run.
        swaps: A sentence for the card on the cues that are swapped in training.
    """

    evaluation: Evaluation
    outcome: Outcome
    stage: Stage
    run: str
    memory: Memory
    panels: Sequence[int]
    resumed: bool
    monitors: Sequence[Settings]
    introduction: Preflight | None
    watch: Watch = field(default_factory=Watch)
    swaps: str = ""


def publish(trainer: pl.Trainer, shown: Shown, publication: Publication | None, settings: Settings) -> Fault | None:
    """Collect the images that are drawn, draw and write.

    Args:
        trainer: The trainer.
        shown: The drawn images that this process has.
        publication: The results to publish, on the first process.
        settings: The monitor's settings.

    Returns:
        The fault of the first process, if there is one; where a fault has to stop training, every process knows.
    """
    fault: Fault | None = None
    parts = send_to_first(shown, trainer)
    if publication is not None:
        try:
            thumbnails = {index: thumbnail for part in parts for index, thumbnail in part.thumbnails.items()}
            collected = Shown(thumbnails, strongest([part.examples for part in parts]))
            folder, epoch, step = log_folder(trainer), trainer.current_epoch, trainer.global_step
            asked = asked_names(trainer)
            write_results(trainer.loggers, folder, epoch, step, collected, publication, settings, asked)
        except Exception as error:  # noqa: BLE001 - a full disk or a logger's fault must not stop training
            fault = Fault.of(error)
    return tell_everyone(fault, trainer) if settings.on_error == "raise" else fault


def write_results(
    loggers: Sequence[Logger | Folder],
    folder: str,
    epoch: int,
    step: int,
    shown: Shown,
    publication: Publication,
    settings: Settings,
    asked: Collection[str] = (),
) -> None:
    """Draw, and write pictures, texts and charts to loggers and the tables into a folder.

    Args:
        loggers: The loggers.
        folder: Where the tables lie.
        epoch: Current epoch.
        step: Global step.
        shown: The drawn images.
        publication: The results.
        settings: The monitor's settings.
        asked: Names that callbacks and schedulers read.
    """
    evaluation = publication.evaluation
    start = staged(settings.name, publication.stage)
    pictures = draw_strips(evaluation, shown.thumbnails, publication.panels, settings, publication.memory, start)
    pictures |= draw_curve_figures(evaluation, settings, start)
    decision = publication.watch.decision
    pictures |= draw_transplants(evaluation, shown.examples, decision, start)
    if not any(map(shows_pictures, loggers)):
        if publication.introduction is not None:
            rank_zero_info(
                f"SaliencyMonitor {settings.name!r}: No logger shows pictures. Tables, and pictures as files, are in "
                f"'{folder}'."
            )
        loggers = [*loggers, Folder(folder)]
    for logger in loggers:
        if publication.introduction is not None:
            write_layout(logger, charts(publication.monitors, asked))
            text = card(evaluation, settings, publication.outcome.scalars, publication.introduction, publication.swaps)
            write_text(logger, card_name(start), text, step)
        if decision.state:
            write_text(logger, alarm_name(start), escaped(sentence(publication.watch, settings)), step)
        write_pictures(logger, pictures, step)
    # Last, so that a run killed before has no rows of an evaluation that it repeats.
    origin = (SCHEMA, publication.stage, publication.run)
    scores = ((*origin, *row) for row in rows(evaluation, epoch, step))
    values = ((*origin, *row) for row in value_rows(publication.outcome.scalars, epoch, step))
    replaced = partial(_is_replaced, publication, settings.name, step) if publication.resumed else None
    append_rows(f"{folder}/{table_file(settings.name)}", SCORE_COLUMNS, scores, replaced)
    append_rows(f"{folder}/{evaluations_file()}", EVALUATION_COLUMNS, values, replaced)


def _is_replaced(publication: Publication, monitor: str, step: int, row: Mapping[str, str]) -> bool:
    """Return whether the same run wrote a row of this monitor in this stage, at this step or later."""
    is_later = (row["stage"], row["run"]) == (publication.stage, publication.run) and int(row["step"]) >= step
    names = [settings.name for settings in publication.monitors]
    return is_later and ("name" not in row or monitor_of(row["name"], names) == monitor)
