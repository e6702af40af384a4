"""From event files to values."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from lightning_saliency.names import monitors_in
from lightning_saliency.report._evaluations import with_table
from lightning_saliency.report._events import Events
from lightning_saliency.report._files import files_below
from lightning_saliency.report._log import Log
from lightning_saliency.report._settings import settings_of
from lightning_saliency.report._table import last_scores

Entry = TypeVar("Entry")
EVENT_FILES = "*tfevents*"


class NoEventFilesError(ValueError):
    """The folder has no event files."""


def runs_in(log_dir: Path) -> list[Path]:
    """List every folder that holds event files, sorted by name, `version_2` before `version_10`.

    Raises:
        NoEventFilesError: If no folder holds event files.
    """
    if not log_dir.is_dir():
        raise NoEventFilesError(f"`LOGDIR` must be a folder of TensorBoard event files, but got '{log_dir}'.")
    folders = event_folders(log_dir)
    if not folders:
        raise NoEventFilesError(
            f"`LOGDIR` must hold TensorBoard event files, but got '{log_dir}', which has none.  "
            "Pass the folder that you would pass to `tensorboard --logdir`."
        )
    return folders


def event_folders(log_dir: Path) -> list[Path]:
    """List the folders that hold event files, sorted by name, `version_2` before `version_10`."""
    return sorted({path.parent for path in files_below(log_dir, EVENT_FILES)}, key=natural_order)


def event_files(folder: Path) -> list[Path]:
    """List the event files of a run in the order of their writing, which begins their names."""
    return sorted(path for path in folder.glob(EVENT_FILES) if path.is_symlink() or not path.is_dir())


def size_of(folders: Iterable[Path]) -> int:
    """Return how many bytes of event files there are."""
    return sum(path.lstat().st_size for folder in folders for path in event_files(folder))


def read_run(folder: Path, name: str, advance: Callable[[int], object] = lambda count: None) -> Log:
    """Read one run and its tables, without the parts that are damaged.

    Args:
        folder: Folder of the run.
        name: Name of the run.
        advance: Is called with the numbers of bytes that were read.
    """
    events = Events()
    for path in event_files(folder):
        events.read(path, advance)
    scalars = with_table(_sorted(events.scalars), folder, events.faults)
    settings = settings_of(events.settings, folder, events.faults, events.left_out)
    scores = {monitor: last_scores(folder, monitor, events.faults) for monitor in monitors_in(scalars)}
    return Log(
        name=name,
        scalars=scalars,
        pictures=_sorted(events.pictures),
        texts=_sorted(events.texts),
        settings=settings,
        scores=scores,
        first=events.first,
        notes=(*events.faults, *events.left_out.sentences),
    )


def _sorted(tags: dict[str, dict[int, Entry]]) -> dict[str, dict[int, Entry]]:
    return {tag: {step: entries[step] for step in sorted(entries)} for tag, entries in tags.items() if entries}


def run_name(folder: Path, log_dir: Path) -> str:
    """Name a run by its folder, relative to the folder of all runs."""
    inside = folder.relative_to(log_dir)
    return log_dir.resolve().name if inside == Path() else str(inside)


def natural_order(folder: Path) -> list[tuple[int, str]]:
    """Sort numbers inside names by size."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(folder))]
