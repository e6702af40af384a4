"""Files that are complete or absent, even after a crash, in local folders and in remote ones that fsspec reaches."""

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem


@contextmanager
def draft_of(path: str | Path) -> Iterator[Path]:
    """Write to a local draft; it replaces the file only if the block raises nothing.

    The draft of a local file lies in the same folder. That of a killed process is never read. The next process
    overwrites it.
    """
    filesystem, place = _resolved(path)
    if isinstance(filesystem, LocalFileSystem):
        with _local_draft_of(Path(place)) as draft:
            yield draft
    else:
        with TemporaryDirectory() as folder:
            draft = Path(folder) / "draft"
            yield draft
            filesystem.makedirs(place.rpartition("/")[0], exist_ok=True)
            filesystem.put_file(str(draft), place)


def copy_to_draft(path: str | Path, draft: Path) -> bool:
    """Copy a file into its draft, and return whether there is one."""
    filesystem, place = _resolved(path)
    exists = bool(filesystem.exists(place))
    if exists:
        filesystem.get_file(place, str(draft))
    return exists


def open_files(folder: str | Path, pattern: str) -> Iterator[Any]:
    """Open the files of a folder whose names match a pattern one by one, in the order of their names, to read bytes."""
    filesystem, place = _resolved(folder)
    paths = filesystem.ls(place, detail=False) if filesystem.exists(place) else []
    for path in sorted(path for path in paths if fnmatchcase(path.rpartition("/")[2], pattern)):
        with filesystem.open(path, "rb") as file:
            yield file


@contextmanager
def _local_draft_of(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _resolved(path: str | Path) -> tuple[Any, str]:
    """Return the file system of a path or address, and its place in it."""
    filesystem, place = url_to_fs(str(path))
    return filesystem, str(place)
