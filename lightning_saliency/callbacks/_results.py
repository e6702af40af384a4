"""How results come back to the process that made a callback, where a launcher trains in processes of its own."""

import json
import multiprocessing
import os
import secrets
import tempfile
import weakref
from pathlib import Path
from typing import Any


class ResultsFile:
    """A private file that launched processes write and the process that made the callback reads.

    Launchers such as that of `ddp_spawn` train copies of callbacks and bring nothing back of them. The path is drawn
    here, before there are copies, cannot be guessed, and is removed when the process that drew it ends.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.gettempdir()) / f"lightning_saliency_{secrets.token_hex(16)}.json"
        self._owner = os.getpid()
        self._last_read: tuple[int, int] | None = None
        self._finalizer = weakref.finalize(self, _remove, self.path, self._owner)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_finalizer"}

    def __deepcopy__(self, memo: dict[int, Any]) -> "ResultsFile":
        """A copy of a callback belongs to another training."""
        return ResultsFile()

    def write(self, content: Any) -> None:
        """Write what JSON can express, if this process was launched by the one that made the callback."""
        parent = multiprocessing.parent_process()
        if parent is None or parent.pid != self._owner:
            return
        draft = self.path.with_suffix(f".{os.getpid()}")
        # Fails where the name exists, link or not, and lets nobody else read.
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            try:
                json.dump(content, file)
                file.flush()
                draft.replace(self.path)
            finally:
                draft.unlink(missing_ok=True)

    def read(self) -> Any:
        """Return what was written since the last call, `None` if nothing was, and in any other process."""
        if os.getpid() != self._owner:
            return None
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp == self._last_read:
                return None
            content = json.loads(self.path.read_text())
        except FileNotFoundError:
            return None
        self._last_read = stamp
        return content


def _remove(path: Path, owner: int) -> None:
    # A forked process holds a copy of the object, and must not remove what its parent will read.
    if os.getpid() == owner:
        path.unlink(missing_ok=True)
