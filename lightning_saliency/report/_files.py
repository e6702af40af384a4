"""Files that strangers may have put into a folder of logs."""

import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

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


def _refusal(path: Path) -> NoPlainFileError:
    return NoPlainFileError(f"`{path.name}` was not read, because it is a link, pipe, device or outside of the run")
