"""From TensorBoard's event files to runs."""

from collections.abc import Mapping
from pathlib import Path

from lightning_saliency._verdicts._run import Run
from lightning_saliency.names import TEST, Stage, monitor_of, monitors_in
from lightning_saliency.report._log import Scalars
from lightning_saliency.report._reading import read_run


def run_of_events(folder: Path, name: str, stage: Stage) -> Run:
    """Read the evaluations of the run in a folder.

    Args:
        folder: Folder of the event files.
        name: Name of the run.
        stage: The stage whose evaluations count; `fit` and `validate` share their names, so that `validate` is refused.
    """
    if stage == "validate":
        return Run(name, fault=f"event files do not tell {stage} from fit, and there is no evaluations.csv")
    log = read_run(folder, name)
    scalars = _scalars(log.scalars, stage)
    monitors = monitors_in(scalars)
    return Run(
        name,
        {monitor: _evaluations(monitor, monitors, scalars) for monitor in monitors},
        {tag: list(values.values()) for tag, values in scalars.items() if monitor_of(tag, monitors) is None},
        notes=log.notes,
    )


def _scalars(scalars: Mapping[str, Scalars], stage: Stage) -> Mapping[str, Scalars]:
    """Return what was logged in a stage, by names without the stage."""
    if stage != "test":
        return scalars
    return {tag.removeprefix(TEST): values for tag, values in scalars.items() if tag.startswith(TEST)}


def _evaluations(monitor: str, monitors: list[str], scalars: Mapping[str, Scalars]) -> list[dict[str, float]]:
    mine = {tag: values for tag, values in scalars.items() if monitor_of(tag, monitors) == monitor}
    return [
        {tag: values[step] for tag, values in mine.items() if step in values} for step in scalars[f"{monitor}/seconds"]
    ]
