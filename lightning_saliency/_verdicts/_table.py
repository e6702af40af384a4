"""From `evaluations.csv` to runs."""

from pathlib import Path

from lightning_saliency._verdicts._run import Run
from lightning_saliency.names import Stage
from lightning_saliency.report._evaluations import read_evaluations


def runs_of_table(path: Path, name: str, stage: Stage) -> list[Run]:
    """Read the evaluations of every run in a table.

    Args:
        path: The table.
        name: Name of its folder.
        stage: The stage whose evaluations count.
    """
    try:
        runs = read_evaluations(path)
    except (OSError, ValueError) as error:  # not valid text is a ValueError, too
        return [Run(name, fault=str(error))]
    if not runs:
        return [Run(name, fault=f"`{path.name}` has no rows")]
    return [Run(f"{name} {run}", dict(stages.get(stage, {}))) for run, stages in runs.items()]
