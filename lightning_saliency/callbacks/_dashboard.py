"""The charts and the table of runs that TensorBoard shows for the monitors of a trainer."""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import TensorBoardLogger

from lightning_saliency._name_spaces import is_kind
from lightning_saliency.callbacks._asked_names import asked_names
from lightning_saliency.loggers import Chart, write_hyperparameters, write_layout
from lightning_saliency.monitor._logged_names import values_of_methods
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.fault import Fault
from lightning_saliency.monitor.selection import is_logged
from lightning_saliency.names import ALARM, CUES, LoggedName


def charts(monitors: Iterable[Settings], asked: Collection[str]) -> dict[str, list[Chart]]:
    """Lay out one category per monitor, since a run has one layout for all of them; charts show what is logged.

    Args:
        monitors: The settings of all monitors.
        asked: Names that callbacks and schedulers read.
    """
    return {
        settings.name: [*_cues(settings), *_scores(settings, asked), *_margins(settings, asked), *_drift(settings)]
        for settings in monitors
    }


def write_charts(trainer: pl.Trainer, monitors: Sequence[Settings]) -> Fault | None:
    """Lay the charts out again where a layout of the user's has replaced them."""
    fault: Fault | None = None
    try:
        for logger in trainer.loggers if trainer.is_global_zero else ():
            write_layout(logger, charts(monitors, asked_names(trainer)))
    except Exception as error:  # noqa: BLE001 - a logger's fault must not stop training
        fault = Fault.of(error)
    return fault


def enter_run(trainer: pl.Trainer, monitors: Sequence[Settings], *, starts: bool) -> Fault | None:
    """Enter the run into TensorBoard's table of runs, so that it shows how explanations ended.

    TensorBoard believes the first entry of a run. Where Lightning makes one when training starts, which knows no
    scores, ours comes before it; else it comes last, since users may make their own.

    Args:
        trainer: The trainer.
        monitors: The settings of all monitors.
        starts: Whether training starts or has ended.
    """
    fault: Fault | None = None
    try:
        saved = _logged_hyperparameters(trainer)
        for logger in trainer.loggers if trainer.is_global_zero else ():
            if is_kind(logger, TensorBoardLogger) and (logger._default_hp_metric and bool(saved)) is starts:
                _enter(logger, saved, monitors, asked_names(trainer), starts=starts)
    except Exception as error:  # noqa: BLE001 - a logger's fault must not stop training
        fault = Fault.of(error)
    return fault


def _enter(
    logger: TensorBoardLogger,
    saved: dict[str, Any],
    monitors: Sequence[Settings],
    asked: Collection[str],
    *,
    starts: bool,
) -> None:
    metrics = _final_scores(monitors, asked)
    # Lightning's own entry would have had this.
    names = ["hp_metric", *metrics] if starts else metrics
    write_hyperparameters(logger, saved | _what_is_explained(monitors), names)


def _final_scores(monitors: Iterable[Settings], asked: Collection[str]) -> list[str]:
    return [
        str(name)
        for settings in monitors
        for name in values_of_methods(settings)
        if name.kind in ("score", "margin") and is_logged(str(name), settings, asked)
    ]


def _logged_hyperparameters(trainer: pl.Trainer) -> dict[str, Any]:
    """Collect what Lightning logs, which leaves out what was saved with `logger=False`."""
    saved: dict[str, Any] = {}
    for owner in (getattr(trainer, "datamodule", None), trainer.lightning_module):
        if owner is not None and owner._log_hyperparams:
            saved |= dict(owner.hparams_initial)
    saved.pop("_class_path", None)  # internal to Lightning's command line
    return saved


def _what_is_explained(monitors: Iterable[Settings]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for settings in monitors:
        entries[f"{settings.name}/methods"] = ", ".join(settings.methods)
        entries[f"{settings.name}/num_images"] = settings.num_images
    return entries


def _cues(settings: Settings) -> list[Chart]:
    """Lay out how much each cue of the arguments is followed, and the alarm."""
    if not settings.cues:
        return []
    names = [LoggedName(settings.name, cue.name, CUES) for cue in settings.cues]
    alarm = LoggedName(settings.name, ALARM)
    return [Chart("cues followed", lines=(_any_of(names),)), Chart("alarm", lines=(_any_of([alarm]),))]


def _scores(settings: Settings, asked: Collection[str]) -> list[Chart]:
    charts = []
    for metric in settings.metrics:
        names = [LoggedName(settings.name, metric, method) for method in settings.all_methods]
        charts.append(Chart(metric, lines=(_any_of(name for name in names if is_logged(str(name), settings, asked)),)))
    return charts


def _margins(settings: Settings, asked: Collection[str]) -> list[Chart]:
    """Lay out margins with bands if all of these are logged, else as lines."""
    charts = []
    for control in settings.controls:
        for metric in settings.metrics:
            names = [LoggedName(settings.name, metric, method, control) for method in settings.methods]
            bands = tuple((str(name), str(name.of("low")), str(name.of("high"))) for name in names)
            if all(is_logged(tag, settings, asked) for band in bands for tag in band):
                charts.append(Chart(f"{metric} over {control}, +- 1 standard error", bands=bands))
            else:
                charts.append(Chart(f"{metric} over {control}", lines=(_any_of(names),)))
    return charts


def _drift(settings: Settings) -> list[Chart]:
    return [
        Chart(
            f"drift: {measure.text} with the {since} maps",
            lines=(_any_of([LoggedName(settings.name, measure.name, name, since=since) for name in settings.methods]),),
        )
        for measure in settings.drift
        for since in ("previous", "first")
    ]


def _any_of(names: Iterable[LoggedName]) -> str:
    """Return a regular expression of these names."""
    return f"^({'|'.join(re.escape(str(name)) for name in names)})$"
