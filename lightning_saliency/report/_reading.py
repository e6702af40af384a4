"""From event files to values."""

import math
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.io_wrapper import IsSummaryEventsFile

from lightning_saliency.names import monitors_in
from lightning_saliency.report._evaluations import with_table
from lightning_saliency.report._log import Log
from lightning_saliency.report._settings import settings_of
from lightning_saliency.report._table import last_scores

Entry = TypeVar("Entry")
EVERYTHING: Final = {"scalars": 0, "images": 0, "tensors": 0}
TEXT: Final = "/text_summary"


class NoEventFilesError(ValueError):
    """The folder has no event files."""


def read_runs(log_dir: Path) -> list[Log]:
    """Read every folder that holds event files, sorted by name, `version_2` before `version_10`.

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
    return [read_run(folder, run_name(folder, log_dir)) for folder in folders]


def event_folders(log_dir: Path) -> list[Path]:
    """List the folders that hold event files, sorted by name, `version_2` before `version_10`."""
    paths = (path for path in log_dir.rglob("*tfevents*") if IsSummaryEventsFile(str(path)) and path.is_file())
    return sorted({path.parent for path in paths}, key=natural_order)


def read_run(folder: Path, name: str) -> Log:
    """Read one run and its table of evaluations; of a damaged event file, everything before the damage."""
    # Without the dot, TensorBoard takes a folder named like an event file for one.
    events = EventAccumulator(f"{folder}/.", size_guidance=EVERYTHING)
    # Entries before the damage are kept. TensorBoard cannot open names that are not valid text.
    with suppress(DecodeError, OSError, UnicodeError):
        events.Reload()
    tags = events.Tags()
    scalars = {tag: events.Scalars(tag) for tag in tags["scalars"]}
    texts = {tag: events.Tensors(tag) for tag in tags["tensors"] if tag.endswith(TEXT)}
    times = [event.wall_time for entries in scalars.values() for event in entries if math.isfinite(event.wall_time)]
    return Log(
        name=name,
        scalars=with_table({tag: _by_step(entries, attrgetter("value")) for tag, entries in scalars.items()}, folder),
        pictures={tag: _by_step(events.Images(tag), attrgetter("encoded_image_string")) for tag in tags["images"]},
        texts={tag.removesuffix(TEXT): _by_step(entries, _text) for tag, entries in texts.items()},
        settings=settings_of(events, folder),
        scores={monitor: last_scores(folder, monitor) for monitor in monitors_in(scalars)},
        first=min(times, default=None),
    )


def _by_step(events: Iterable[Any], value: Callable[[Any], Entry]) -> dict[int, Entry]:
    """Keep the last entry of each step: after a restart a step is logged again."""
    entries = {event.step: value(event) for event in events}
    return {step: entries[step] for step in sorted(entries)}


def _text(event: Any) -> str:
    return b"\n\n".join(event.tensor_proto.string_val).decode("utf-8", errors="replace")


def run_name(folder: Path, log_dir: Path) -> str:
    """Name a run by its folder, relative to the folder of all runs."""
    inside = folder.relative_to(log_dir)
    return log_dir.resolve().name if inside == Path() else str(inside)


def natural_order(folder: Path) -> list[tuple[int, str]]:
    """Sort numbers inside names by size."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(folder))]
