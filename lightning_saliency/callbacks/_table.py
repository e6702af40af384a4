"""Files beside the logs, of which a reader or a crash never sees a half."""

import csv
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

HEADER: Final = ("step", "epoch", "index", "target", "predicted", "method", "metric", "score")


def append_rows(path: Path, rows: Iterable[tuple[object, ...]]) -> None:
    """Append rows all at once."""
    with _draft(path) as draft:
        if path.exists():
            shutil.copyfile(path, draft)
        with draft.open("a", newline="") as file:
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(HEADER)
            writer.writerows(rows)


def write_whole(path: Path, text: str) -> None:
    """Write a text in place of what was there."""
    with _draft(path) as draft:
        draft.write_text(text)


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """Lend a file beside the wanted one, and put it in its place only if all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
