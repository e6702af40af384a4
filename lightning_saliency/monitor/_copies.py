"""Copies of iterators at their places."""

import copy
import itertools
import warnings
from collections import deque
from typing import Any, Final

# Iterators that know a place in what they go through, and have a copy at the same place.
PLACES: Final = tuple(
    map(
        type,
        (
            *map(iter, ([], (), range(1), range(2**70), "a", "é", b"", bytearray(), deque())),
            *map(reversed, ([], deque())),
        ),
    )
)


def is_copied(value: Any) -> bool:
    """Tell an iterator of which there is a copy at the same place."""
    return copy_of(value) is not value


def copy_of(value: Any) -> Any:
    """Copy an iterator that counts, whose state is nowhere else; anything else is returned as it is."""
    if isinstance(value, PLACES):
        return copy.copy(value)
    if isinstance(value, itertools.count | itertools.cycle):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                return copy.copy(value) if isinstance(value, itertools.count) else _copy_of_cycle(value)
            except TypeError:
                return value
    return value


def _copy_of_cycle(cycle: Any) -> Any:
    """Copy what it goes through too, which `copy.copy` shares during the first round."""
    kind, (iterator,), (saved, is_saved) = cycle.__reduce__()
    clone = kind(copy.copy(iterator))
    clone.__setstate__((list(saved), is_saved))
    return clone
