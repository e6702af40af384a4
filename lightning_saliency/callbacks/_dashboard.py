"""What the monitors of a trainer want to see of TensorBoard's charts and table of runs."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import TensorBoardLogger

from lightning_saliency.callbacks._distributed import Fault
from lightning_saliency.callbacks._settings import Settings, margin_name
from lightning_saliency.loggers import Chart, write_hyperparameters


def charts(monitors: Iterable[Settings]) -> dict[str, list[Chart]]:
    """Lay out one category per monitor, since a run has one layout for all of them."""
    return {settings.name: [*_scores(settings), *_margins(settings), *_drift(settings)] for settings in monitors}


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
            if isinstance(logger, TensorBoardLogger) and (logger._default_hp_metric and bool(saved)) is starts:
                _enter(logger, saved, monitors, starts=starts)
    except Exception as error:  # noqa: BLE001 - a logger's fault must not stop training
        fault = Fault.of(error)
    return fault


def _enter(logger: TensorBoardLogger, saved: dict[str, Any], monitors: Sequence[Settings], *, starts: bool) -> None:
    metrics = _final_scores(monitors)
    # Lightning's own entry would have had this.
    known = ["hp_metric", *metrics] if starts else metrics
    write_hyperparameters(logger, saved | _what_is_explained(monitors), known)


def _final_scores(monitors: Iterable[Settings]) -> list[str]:
    found = []
    for settings in monitors:
        names = [f"{method}/{metric}" for method in settings.methods for metric in settings.metrics]
        found += [f"{settings.name}/{name}" for name in (*names, *settings.margins)]
    return found


def _logged_hyperparameters(trainer: pl.Trainer) -> dict[str, Any]:
    """Collect what Lightning logs, which leaves out what was saved with `logger=False`."""
    saved: dict[str, Any] = {}
    for owner in (getattr(trainer, "datamodule", None), trainer.lightning_module):
        if owner is not None and owner._log_hyperparams:
            saved |= dict(owner.hparams_initial)
    saved.pop("_class_path", None)  # internal to Lightning's command line
    return saved


def _what_is_explained(monitors: Iterable[Settings]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for settings in monitors:
        found[f"{settings.name}/methods"] = ", ".join(settings.methods)
        found[f"{settings.name}/num_images"] = settings.num_images
    return found


def _scores(settings: Settings) -> list[Chart]:
    return [Chart(metric, lines=(_any_of(settings, settings.all_methods, metric),)) for metric in settings.metrics]


def _margins(settings: Settings) -> list[Chart]:
    found = []
    for control in settings.controls:
        for metric in settings.metrics:
            tags = [f"{settings.name}/{method}/{margin_name(metric, control)}" for method in settings.methods]
            bands = tuple((tag, f"{tag}_low", f"{tag}_high") for tag in tags)
            found.append(Chart(f"{metric} over {control}, +- 1 standard error", bands=bands))
    return found


def _drift(settings: Settings) -> list[Chart]:
    titles = {
        "drift_spearman": "rank correlation with the previous maps",
        "drift_spearman_first": "rank correlation with the first maps",
    }
    return [
        Chart(f"drift: {title}", lines=(_any_of(settings, settings.methods, measure),))
        for measure, title in titles.items()
    ]


def _any_of(settings: Settings, methods: Iterable[str], last: str) -> str:
    return f"^{re.escape(settings.name)}/({'|'.join(re.escape(method) for method in methods)})/{re.escape(last)}$"
