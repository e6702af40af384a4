"""Where the page goes: a plain file, complete or absent, or what is there already."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

# Names in these folders stand for devices and open files. They are links or devices, and never replaced.
SYSTEM: Final = (Path("/dev"), Path("/proc"))


def is_replaced(path: Path) -> bool:
    """Return whether a page takes the place of what has this name, such as an older page or a link.

    Pipes, devices and the names of open files, such as `/dev/stdout`, are written to.
    """
    if any(path.absolute().parent.resolve().is_relative_to(folder) for folder in SYSTEM):
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
