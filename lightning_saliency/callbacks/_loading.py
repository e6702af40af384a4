"""Read what a checkpoint holds of a callback."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def refusing_damage(owner: str) -> Iterator[None]:
    """Explain an error that a damaged state, or that of another version, raises.

    Args:
        owner: The callback that reads its state, and its name.

    Raises:
        ValueError: In place of the error.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"The checkpoint must hold the state that {owner} wrote, but got one that is damaged or of another version "
            f"({type(error).__name__}: {error}).  Resume from another checkpoint, or delete the callback's entry "
            "from its 'callbacks'."
        ) from error
