"""Files beside the logs, of which a reader or a crash never sees a half."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from lightning_saliency.loggers._drafts import copy_to_draft, draft_of


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
                _cut(draft, columns, is_replaced)
        with draft.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(columns)
            writer.writerows(rows)


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


def _cut(table: Path, columns: Sequence[str], is_replaced: Callable[[Mapping[str, str]], bool]) -> None:
    with table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not is_replaced(row)]
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
