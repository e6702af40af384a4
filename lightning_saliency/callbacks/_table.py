"""Files beside the logs, of which a reader or a crash never sees a half."""

import csv
import shutil
from collections.abc import Iterable
from pathlib import Path

from lightning_saliency.loggers._drafts import draft_of
from lightning_saliency.monitor.summary import HEADER


def append_rows(path: Path, rows: Iterable[tuple[object, ...]], replaced_from: int | None = None) -> None:
    """Append rows all at once.

    Args:
        path: The table.
        rows: What to append.
        replaced_from: Drop rows of this step and later, of a run that has been taken up again before them.
    """
    with draft_of(path) as draft:
        if path.exists():
            shutil.copyfile(path, draft)
            if replaced_from is not None:
                _cut(draft, replaced_from)
        with draft.open("a", newline="") as file:
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(HEADER)
            writer.writerows(rows)


def write_whole(path: Path, text: str) -> None:
    """Write a text in place of what was there."""
    with draft_of(path) as draft:
        draft.write_text(text)


def _cut(table: Path, step: int) -> None:
    with table.open(newline="") as file:
        _, *rows = csv.reader(file)
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *(row for row in rows if int(row[0]) < step)])
