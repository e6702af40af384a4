"""Whether maps are made to be compared with others, of changed images, classes or networks."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_COMPARING: Final = ContextVar("comparing", default=False)


@contextmanager
def comparing() -> Iterator[None]:
    """Tell methods that their maps are only compared, so that warnings about them would mislead."""
    token = _COMPARING.set(True)
    try:
        yield
    finally:
        _COMPARING.reset(token)


def is_comparing() -> bool:
    """Return whether maps are made within `comparing`."""
    return _COMPARING.get()
