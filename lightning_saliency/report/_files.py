"""Files that strangers may have put into a folder of logs."""

import csv
import io
import os
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from lightning_saliency.report._limits import LONGEST_ROW

# Windows has neither links nor pipes that these would help against.
FLAGS: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class NoPlainFileError(OSError):
    """A link could show any file of the reader's, a pipe never ends, and a device may have no end."""


def open_plain(path: Path, folder: Path) -> BinaryIO:
    """Open a plain file inside a folder for reading bytes.

    Args:
        path: The file.
        folder: Folder of the run, which the file must not leave by links either.

    Raises:
        NoPlainFileError: If it is a link, pipe or device, or lies outside of the folder.
        OSError: If it is missing or cannot be read.
    """
    if not stat.S_ISREG(path.lstat().st_mode) or not path.parent.resolve().is_relative_to(folder.resolve()):
        raise _refusal(path)
    file = os.fdopen(os.open(path, FLAGS), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # it was replaced meanwhile
        file.close()
        raise _refusal(path)
    return file


class DamagedTableError(ValueError):
    """A table ends inside a row, is no table, or has a row that could fill memory."""


def rows_of(path: Path, folder: Path, *, strict: bool = False) -> Iterator[list[str]]:
    """Yield the rows of a table in a stream, none of which is kept.

    Args:
        path: The table.
        folder: Folder of the run.
        strict: Whether to refuse what other readers of such tables would let pass.

    Raises:
        DamagedTableError: If a row is damaged or too long.
        NoPlainFileError: If it is no plain file inside the folder.
        OSError: If it is missing or cannot be read.
        UnicodeDecodeError: If it is no text.
    """
    size = 0

    def lines(text: TextIO) -> Iterator[str]:
        nonlocal size
        while line := text.readline(LONGEST_ROW + 1):
            size += len(line)
            if size > LONGEST_ROW:
                raise csv.Error(f"a row must have at most {LONGEST_ROW:,} characters, but got more")
            yield line

    with io.TextIOWrapper(open_plain(path, folder), encoding="utf-8", newline="") as text:
        reader = csv.reader(lines(text), strict=strict)
        try:
            for row in reader:
                size = 0
                yield row
        except csv.Error as error:
            raise DamagedTableError(f"line {reader.line_num}: {error}") from None


def files_below(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield the files below a folder whose names match, and links with such names, however deep the folders are.

    Links to folders are not followed, and folders that cannot be read are passed over.
    """
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as listing:
                entries = list(listing)
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif fnmatchcase(entry.name, pattern):
                yield Path(entry.path)


def _refusal(path: Path) -> NoPlainFileError:
    return NoPlainFileError(f"`{path.name}` was not read, because it is a link, pipe, device or outside of the run")
