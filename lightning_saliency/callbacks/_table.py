"""The table of per-image scores beside the logs."""

import csv
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

HEADER: Final = ("step", "epoch", "index", "target", "predicted", "method", "metric", "score")


def append_rows(path: Path, rows: Iterable[tuple[object, ...]]) -> None:
    """Append rows all at once: a reader, or a crash, never sees half of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists():
            shutil.copyfile(path, draft)
        with draft.open("a", newline="") as file:
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(HEADER)
            writer.writerows(rows)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
