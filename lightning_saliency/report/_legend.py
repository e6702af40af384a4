"""One style for each method, the same in every chart."""

from collections.abc import Iterable
from typing import Final

COLOURS: Final = 8


def styles_of(methods: Iterable[str], controls: Iterable[str]) -> dict[str, str]:
    """Give methods colours, dotted when these are used up, and controls grey dashes."""
    coloured = {name: f"c{place % COLOURS} round{place // COLOURS}" for place, name in enumerate(methods)}
    return coloured | {name: f"control k{place}" for place, name in enumerate(controls)}
