"""Look up a value in TensorBoard's event files without reading everything that is in them."""

import struct
from collections.abc import Iterator
from typing import IO, Final

from lightning_saliency.loggers._drafts import open_files

# A record is the length of its content, a checksum, the content, and another checksum.
HEADER: Final = struct.Struct("<Q4x")
CHECKSUM: Final = 4
# A tag of this package or TensorBoard's own lies within so many bytes, after the time, the step and some lengths.
BEGINNING: Final = 128


def last_tensor(folder: str, tag: str) -> bytes:
    """Return the last text that was logged as a tensor under a tag, empty if there is none.

    Args:
        folder: Folder of the event files, a path or an address that fsspec knows.
        tag: The tag.
    """
    from tensorboard.compat.proto.event_pb2 import Event

    last = b""
    for file in open_files(folder, "events.out.tfevents.*"):
        for record in _records_with(file, tag.encode()):
            for value in Event.FromString(record).summary.value:
                if value.tag == tag:
                    (last,) = value.tensor.string_val
    return last


def _records_with(file: IO[bytes], tag: bytes) -> Iterator[bytes]:
    """Read the records that have a tag at their beginning; a record that is still being written is the end."""
    while len(header := file.read(HEADER.size)) == HEADER.size:
        (length,) = HEADER.unpack(header)
        beginning = file.read(min(length, BEGINNING))
        rest = length - len(beginning)
        if tag in beginning:
            record = beginning + file.read(rest)
            if len(record) == length:
                yield record
            rest = 0
        file.seek(rest + CHECKSUM, 1)
