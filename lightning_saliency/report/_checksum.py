"""The checksums of TensorBoard's records (CRC-32C), for many records at once."""

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np

POLYNOMIAL: Final = 0x82F63B78
ALL_ONES: Final = 0xFFFFFFFF
MASK: Final = np.uint32(0xA282EAD8)
# Bytes in a row of the parallel computation.
ROW: Final = 128
# Records that are longer are computed by rows, and of shorter ones as many together as there are of one length.
LONG: Final = 4096
FEW: Final = 8


def masked_checksums(records: Sequence[bytes]) -> list[int]:
    """Return the CRC-32C of every record in the form that event files have it.

    Source: https://www.tensorflow.org/tutorials/load_data/tfrecord

    Example:
        >>> [hex(checksum) for checksum in masked_checksums([b"123456789"])]
        ['0xc78ab0e5']
    """
    places: dict[int, list[int]] = {}
    for place, record in enumerate(records):
        places.setdefault(len(record), []).append(place)
    checksums = [0] * len(records)
    for length, group in places.items():
        members = [records[place] for place in group]
        together = len(group) >= FEW and length < LONG
        states = _of_one_length(members) if together else np.array([_of_one(one) for one in members], np.uint32)
        for place, checksum in zip(group, _masked(states ^ ALL_ONES).tolist(), strict=True):
            checksums[place] = checksum
    return checksums


def _masked(checksums: np.ndarray) -> np.ndarray:
    return (checksums >> 15 | checksums << 17) + MASK


def _of_one(record: bytes) -> int:
    """Return the state after one record."""
    if len(record) < LONG:
        return _advance(ALL_ONES, record)
    head = len(record) % ROW
    return _advance_by_rows(_advance(ALL_ONES, record[:head]), record[head:])


def _of_one_length(records: Sequence[bytes]) -> np.ndarray:
    """Return the states after records of one length, which are read side by side."""
    rows = np.frombuffer(b"".join(records), np.uint8).reshape(len(records), -1)
    states = np.full(len(records), ALL_ONES, np.uint32)
    even = rows.shape[1] & ~1
    if even:
        states = _advance_all(states, np.ascontiguousarray(rows[:, :even]).view("<u2"))
    if even < rows.shape[1]:
        states = _pairs()[((states ^ rows[:, -1]) & 0xFF) << 8] ^ (states >> 8)
    return states


def _advance(state: int, data: bytes) -> int:
    """Read two bytes at a time."""
    table = _pair_list()
    even = len(data) & ~1
    for pair in np.frombuffer(data[:even], "<u2").tolist():
        state = table[(state ^ pair) & 0xFFFF] ^ (state >> 16)
    if len(data) > even:
        state = table[((state ^ data[-1]) & 0xFF) << 8] ^ (state >> 8)
    return state


def _advance_by_rows(state: int, data: bytes) -> int:
    """Read all rows side by side from state zero, and chain them: the checksum is linear in state and data."""
    rows = np.frombuffer(data, "<u2").reshape(-1, ROW // 2)
    first, second = _shifts()
    for row in _advance_all(np.zeros(len(rows), np.uint32), rows).tolist():
        state = first[state & 0xFFFF] ^ second[state >> 16] ^ row
    return state


def _advance_all(states: np.ndarray, rows: np.ndarray) -> np.ndarray:
    table = _pairs()
    for column in np.ascontiguousarray(rows.T):
        states = table[(states ^ column) & 0xFFFF] ^ (states >> 16)
    return states


@cache
def _pairs() -> np.ndarray:
    """Return the state that follows on two bytes, for the lower half of the state before."""
    table = np.arange(0x10000, dtype=np.uint32)
    for _ in range(16):
        table = np.where(table & 1, (table >> 1) ^ POLYNOMIAL, table >> 1).astype(np.uint32)
    return table


@cache
def _pair_list() -> list[int]:
    table: list[int] = _pairs().tolist()
    return table


@cache
def _shifts() -> tuple[list[int], list[int]]:
    """Return the states after a row of zeros, for the lower and the upper half of the state before."""
    one_bit = np.uint32(1) << np.arange(32, dtype=np.uint32)
    after = _advance_all(one_bit, np.zeros((32, ROW // 2), np.uint16))
    halves = np.zeros((2, 0x10000), np.uint32)
    for bit in range(32):
        halves[bit // 16] ^= np.where(np.arange(0x10000) >> bit % 16 & 1, after[bit], 0).astype(np.uint32)
    return halves[0].tolist(), halves[1].tolist()
