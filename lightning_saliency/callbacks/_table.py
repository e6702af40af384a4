"""Files beside the logs, of which a reader or a crash never sees a half."""

import csv
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from lightning_saliency.loggers._drafts import draft_of

# Spreadsheets compute cells that begin with one of these.
FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


def append_rows(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[tuple[object, ...]],
    is_replaced: Callable[[Mapping[str, str]], bool] | None = None,
) -> None:
    """Append rows all at once.

    Args:
        path: The table.
        columns: Its columns.
        rows: What to append.
        is_replaced: Which earlier rows to drop: those of a run that has been taken up again before them.

    Raises:
        ValueError: If the table has other columns, which an earlier version or another program wrote.
    """
    with draft_of(path) as draft:
        if path.exists():
            _check_columns(path, columns)
            if is_replaced is None:
                shutil.copyfile(path, draft)
            else:
                _copy_without(path, draft, is_replaced)
        with draft.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(columns)
            writer.writerows([_plain(cell) for cell in row] for row in rows)


def write_whole(path: Path, text: str) -> None:
    """Write a text in place of what was there."""
    with draft_of(path) as draft:
        draft.write_text(text, encoding="utf-8")


def _check_columns(table: Path, columns: Sequence[str]) -> None:
    with table.open(newline="", encoding="utf-8") as file:
        header = next(csv.reader(file), list(columns))
    if header != list(columns):
        raise ValueError(
            f"`{table.name}` must have the columns {', '.join(columns)}, but got {', '.join(header)}.  "
            f"Move '{table}' away."
        )


def _plain(cell: object) -> object:
    """Keep a text, such as the name of a class, from being a formula for spreadsheets or no valid text."""
    if not isinstance(cell, str):
        return cell
    text = cell.encode("utf-8", "backslashreplace").decode("utf-8")
    return f"'{text}" if text.startswith(FORMULAS) else text


def _copy_without(table: Path, draft: Path, is_replaced: Callable[[Mapping[str, str]], bool]) -> None:
    """Copy row by row, since tables of long trainings do not fit into memory."""
    with (
        table.open(newline="", encoding="utf-8") as source,
        draft.open("w", newline="", encoding="utf-8") as target,
    ):
        reader, writer = csv.reader(source), csv.writer(target)
        columns = next(reader, [])
        writer.writerow(columns)
        writer.writerows(row for row in reader if not is_replaced(dict(zip(columns, row, strict=False))))
