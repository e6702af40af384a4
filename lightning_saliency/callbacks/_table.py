"""Files beside the logs, of which a reader or a crash never sees a half."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from lightning_saliency.loggers._drafts import copy_to_draft, draft_of

# Spreadsheets compute cells that begin with one of these.
FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


def append_rows(
    path: str,
    columns: Sequence[str],
    rows: Iterable[tuple[object, ...]],
    is_replaced: Callable[[Mapping[str, str]], bool] | None = None,
) -> None:
    """Append rows all at once.

    Args:
        path: The path of the table, or its address that fsspec knows.
        columns: Its columns.
        rows: What to append.
        is_replaced: Which earlier rows to drop: those of a run that has been taken up again before them.

    Raises:
        ValueError: If the table has other columns, which an earlier version or another program wrote.
    """
    with draft_of(path) as draft:
        if copy_to_draft(path, draft):
            _check_columns(path, draft, columns)
            if is_replaced is not None:
                _cut(draft, is_replaced)
        with draft.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(columns)
            writer.writerows([_plain(cell) for cell in row] for row in rows)


def write_whole(path: str, text: str) -> None:
    """Write a text in place of what was there."""
    with draft_of(path) as draft:
        draft.write_text(text, encoding="utf-8")


def _check_columns(path: str, draft: Path, columns: Sequence[str]) -> None:
    with draft.open(newline="", encoding="utf-8") as file:
        header = next(csv.reader(file), list(columns))
    if header != list(columns):
        raise ValueError(
            f"`{path.rpartition('/')[2]}` must have the columns {', '.join(columns)}, but got {', '.join(header)}.  "
            f"Move '{path}' away."
        )


def _plain(cell: object) -> object:
    """Keep a text, such as the name of a class, from being a formula for spreadsheets or no valid text."""
    if not isinstance(cell, str):
        return cell
    text = cell.encode("utf-8", "backslashreplace").decode("utf-8")
    return f"'{text}" if text.startswith(FORMULAS) else text


def _cut(draft: Path, is_replaced: Callable[[Mapping[str, str]], bool]) -> None:
    """Copy row by row, since tables of long trainings do not fit into memory."""
    part = draft.with_name(f"{draft.name}.part")
    try:
        with draft.open(newline="", encoding="utf-8") as source, part.open("w", newline="", encoding="utf-8") as target:
            reader, writer = csv.reader(source), csv.writer(target)
            columns = next(reader, [])
            writer.writerow(columns)
            writer.writerows(row for row in reader if not is_replaced(dict(zip(columns, row, strict=False))))
        part.replace(draft)
    finally:
        part.unlink(missing_ok=True)
