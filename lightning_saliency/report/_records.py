"""The records of an event file, in a stream: a length, its checksum, the record, its checksum."""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import BinaryIO, Final, NamedTuple

from lightning_saliency.report._checksum import masked_checksums
from lightning_saliency.report._limits import LARGEST_RECORD, LeftOut

HEADER: Final = Struct("<Q4s")
CHECKSUM: Final = Struct("<I")
OVERHEAD: Final = HEADER.size + CHECKSUM.size
BLOCK: Final = 2**20


class DamagedFileError(ValueError):
    """From here on the file cannot be read."""


class Record(NamedTuple):
    """A record, and its place in the file."""

    place: int
    content: bytes


class _Frame(NamedTuple):
    """A record's place in a block, and its length."""

    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length + OVERHEAD


def read_records(
    file: BinaryIO, size: int, left_out: LeftOut, advance: Callable[[int], object] = lambda count: None
) -> Iterator[Record]:
    """Yield the records, without those that are damaged or too large.

    Args:
        file: An event file.
        size: Its size in bytes; a file that grows is read up to there.
        left_out: Counts the records that are not yielded.
        advance: Is called with the numbers of bytes that were read.

    Raises:
        DamagedFileError: If the file ends inside a record, or the length of a record is damaged.
    """
    place = 0
    while place < size:
        file.seek(place)
        block = file.read(min(BLOCK, size - place))
        frames = _frames(block)
        if frames:
            yield from _checked(block, place, frames, size, left_out)
            end = frames[-1].end
        else:
            record, end = _large(file, place, size, left_out)
            yield from record
        place += end
        advance(end)


def _frames(block: bytes) -> list[_Frame]:
    """List the complete records of a block, whose lengths nobody has checked yet."""
    frames, start = [], 0
    while start + HEADER.size <= len(block):
        frame = _Frame(start, HEADER.unpack_from(block, start)[0])
        if frame.end > len(block):
            break
        frames.append(frame)
        start = frame.end
    return frames


def _checked(block: bytes, place: int, frames: list[_Frame], size: int, left_out: LeftOut) -> Iterator[Record]:
    headers = masked_checksums([block[frame.start : frame.start + 8] for frame in frames])
    contents = [block[frame.start + HEADER.size : frame.end - CHECKSUM.size] for frame in frames]
    for frame, header, content, checksum in zip(frames, headers, contents, masked_checksums(contents), strict=True):
        if CHECKSUM.unpack_from(block, frame.start + 8)[0] != header:
            raise _damage(place + frame.start, size)
        if CHECKSUM.unpack_from(block, frame.end - CHECKSUM.size)[0] == checksum:
            yield Record(place + frame.start + HEADER.size, content)
        else:
            left_out.add("damaged records")


def _large(file: BinaryIO, place: int, size: int, left_out: LeftOut) -> tuple[list[Record], int]:
    """Read one record that is larger than a block, or find that the file ends inside it."""
    file.seek(place)
    header = file.read(HEADER.size)
    if len(header) < HEADER.size:
        raise _damage(place, size)
    frame = _Frame(0, HEADER.unpack(header)[0])
    if CHECKSUM.unpack(header[8:])[0] != masked_checksums([header[:8]])[0] or place + frame.end > size:
        raise _damage(place, size)
    if frame.length > LARGEST_RECORD:
        left_out.add(f"records of more than {LARGEST_RECORD:,} bytes")
        return [], frame.end
    block = header + file.read(frame.length + CHECKSUM.size)
    return list(_checked(block, place, [frame], size, left_out)), frame.end


def _damage(place: int, size: int) -> DamagedFileError:
    return DamagedFileError(f"was cut off or is damaged after {place:,} of {size:,} bytes, and was read up to there")
