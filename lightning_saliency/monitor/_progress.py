"""How an evaluation says how far it is."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

Tell: TypeAlias = Callable[[int], None]
Progress: TypeAlias = Callable[[int], AbstractContextManager[Tell]]


@contextmanager
def no_progress(total: int) -> Iterator[Tell]:
    """Show nothing."""
    yield say_nothing


def say_nothing(done: int) -> None:
    """Show nothing of the images that are done."""
