"""Where the page goes: a plain file, complete or absent, or what is there already."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, TextIO

LOGS: Final = ("*tfevents*", "*.csv", "*.yaml")
# Names in these folders stand for devices and open files. They are links or devices, and never replaced.
SYSTEM: Final = (Path("/dev"), Path("/proc"))


class LogFileError(ValueError):
    """The page would replace a file of the logs."""


def check_output(path: Path) -> None:
    """Refuse to write the page over an event file, a table or hyper-parameters.

    Raises:
        LogFileError: If there is such a file.
    """
    if os.path.lexists(path) and any(fnmatchcase(path.name, pattern) for pattern in LOGS):
        raise LogFileError(f"`output` must not be a file of logs, but got '{path}'.  Pass a page such as report.html.")


def is_replaced(path: Path) -> bool:
    """Return whether a page takes the place of what has this name, such as an older page or a link.

    Pipes, devices and the names of open files, such as `/dev/stdout`, are written to.
    """
    folder = Path(os.path.realpath(path.absolute().parent))  # `resolve` fails on links in a circle
    if any(folder.is_relative_to(system) for system in SYSTEM):
        return not os.path.lexists(path)
    return not os.path.lexists(path) or stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFREG, stat.S_IFLNK)


@contextmanager
def page_file(path: Path) -> Iterator[TextIO]:
    """Open the page for writing; a plain file is replaced only if the block raises nothing."""
    # File names may hold bytes that are not valid text.
    if not is_replaced(path):
        with path.open("w", encoding="utf-8", errors="replace") as file:
            yield file
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # `mkstemp` would make a file that only its owner can read. As with it, nobody can prepare a link of this name.
    draft = path.with_name(f".{secrets.token_hex(8)}.draft")
    try:
        with draft.open("x", encoding="utf-8", errors="replace") as file:
            yield file
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
