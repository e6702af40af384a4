"""The records of an event file, in a stream: a length, its checksum, the record, its checksum."""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import BinaryIO, Final, TypeAlias

from lightning_saliency.report._checksum import masked_checksums
from lightning_saliency.report._limits import LARGEST_RECORD, LeftOut

HEADER: Final = Struct("<Q4s")
CHECKSUM: Final = Struct("<I")
OVERHEAD: Final = HEADER.size + CHECKSUM.size
BLOCK: Final = 2**20
# Its place in the file, and its content.
Record: TypeAlias = tuple[int, bytes]


class DamagedFileError(ValueError):
    """From here on the file cannot be read."""


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
        ends = _ends(block)
        if ends:
            yield from _checked(block, place, ends, size, left_out)
        else:
            ends = [_end_of_large(file, place, size)]
            if ends[0] > LARGEST_RECORD:
                left_out.add(f"records of more than {LARGEST_RECORD:,} bytes")
            else:
                file.seek(place)
                yield from _checked(file.read(ends[0]), place, ends, size, left_out)
        place += ends[-1]
        advance(ends[-1])


def _ends(block: bytes) -> list[int]:
    """List where the complete records of a block end, by lengths that nobody has checked yet."""
    ends, start, unpack = [], 0, HEADER.unpack_from
    while start + HEADER.size <= len(block):
        start += unpack(block, start)[0] + OVERHEAD
        if start > len(block):
            break
        ends.append(start)
    return ends


def _checked(block: bytes, place: int, ends: list[int], size: int, left_out: LeftOut) -> Iterator[Record]:
    starts, unpack = [0, *ends[:-1]], CHECKSUM.unpack_from
    headers = masked_checksums([block[start : start + 8] for start in starts])
    contents = [block[start + HEADER.size : end - CHECKSUM.size] for start, end in zip(starts, ends, strict=True)]
    checksums = masked_checksums(contents)
    for start, end, header, content, checksum in zip(starts, ends, headers, contents, checksums, strict=True):
        if unpack(block, start + 8)[0] != header:
            raise _damage(place + start, size)
        if unpack(block, end - CHECKSUM.size)[0] == checksum:
            yield place + start + HEADER.size, content
        else:
            left_out.add("damaged records")


def _end_of_large(file: BinaryIO, place: int, size: int) -> int:
    """Return where a record that is larger than a block ends, unless the file ends inside it."""
    file.seek(place)
    header = file.read(HEADER.size)
    if len(header) < HEADER.size or CHECKSUM.unpack(header[8:])[0] != masked_checksums([header[:8]])[0]:
        raise _damage(place, size)
    end: int = HEADER.unpack(header)[0] + OVERHEAD
    if place + end > size:
        raise _damage(place, size)
    return end


def _damage(place: int, size: int) -> DamagedFileError:
    return DamagedFileError(f"was cut off or is damaged after {place:,} of {size:,} bytes, and was read up to there")
