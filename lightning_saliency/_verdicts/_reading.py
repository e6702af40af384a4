"""From a folder of logs to runs."""

from pathlib import Path

from lightning_saliency._verdicts._events import run_of_events
from lightning_saliency._verdicts._run import Run
from lightning_saliency._verdicts._table import runs_of_table
from lightning_saliency.names import Stage, evaluations_file
from lightning_saliency.report._files import files_below
from lightning_saliency.report._reading import event_folders, natural_order, run_name


class NoRunsError(ValueError):
    """The folder holds no run."""


def read_runs(logs: Path, stage: Stage) -> list[Run]:
    """Read the evaluations of every run under a folder: from `evaluations.csv`, else from event files.

    Args:
        logs: Folder of one run or of many.
        stage: The stage whose evaluations count.

    Raises:
        NoRunsError: If there is no such file.
    """
    tables = {path.parent: path for path in files_below(logs, evaluations_file()) if path.is_file()}
    # Writers of several curves make folders of their own inside that of a run.
    events = [
        folder for folder in event_folders(logs) if not any(table in (folder, *folder.parents) for table in tables)
    ]
    if not (tables or events):
        raise NoRunsError(
            f"`LOGS` must be a folder with {evaluations_file()} or TensorBoard event files, but got '{logs}'.  "
            "Pass the log folder of a run, or one that holds several."
        )
    runs = []
    for folder in sorted([*tables, *events], key=natural_order):
        name = run_name(folder, logs)
        runs += runs_of_table(tables[folder], name, stage) if folder in tables else [run_of_events(folder, name, stage)]
    return runs
