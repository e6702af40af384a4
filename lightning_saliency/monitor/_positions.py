"""Files and other things that are read from a position, which can be learnt and set back."""

import gc
import io
import mmap
import sys
from contextlib import suppress
from typing import Any, Final

FILES: Final = (io.IOBase, mmap.mmap)
# Those of closed files, pipes, files whose lines are read by `next`, and users' methods.
ERRORS: Final = (OSError, ValueError, TypeError, AttributeError, NotImplementedError)


def is_file(one: Any) -> bool:
    """Tell an open or closed file, a buffer in memory, a member of an archive, or a mapped file."""
    return issubclass(type(one), FILES)


def position_of(file: Any) -> int | None:
    """Return the position that a file is read from; `None` if it is closed, only written to, or has no position."""
    with suppress(*ERRORS):
        if issubclass(type(file), mmap.mmap) or (file.readable() and file.seekable()):
            return int(file.tell())
    return None


def is_stream(file: Any) -> bool:
    """Tell a file that is read and has no position, such as a pipe."""
    with suppress(*ERRORS):
        return bool(file.readable()) and position_of(file) is None
    return False


def is_restored_by_attributes(file: Any) -> bool:
    """Tell a file of a user's class that has no position."""
    is_of_python = type(file).__module__.partition(".")[0] in sys.stdlib_module_names
    return not is_of_python and position_of(file) is None


def set_position(file: Any, position: int) -> None:
    """Have a file read from a position again, unless it was closed meanwhile."""
    if position_of(file) != position:
        with suppress(*ERRORS):
            file.seek(position)


def files_inside(file: Any) -> list[Any]:
    """List the files that this one reads from: their positions follow from its own."""
    inside: dict[int, Any] = {}
    waiting = [file]
    while waiting:
        one = waiting.pop()
        referents = [*gc.get_referents(one), *(vars(one).values() if hasattr(one, "__dict__") else ())]
        new = {id(each): each for each in referents if is_file(each) and each is not file and id(each) not in inside}
        inside |= new
        waiting += new.values()
    return list(inside.values())
