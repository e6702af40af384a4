"""The cues by name, and which of them are followed."""

from collections.abc import Sequence
from itertools import product
from typing import Final

from lightning_saliency.cues._band import Band
from lightning_saliency.cues._cell import Cell
from lightning_saliency.cues._cue import Cue
from lightning_saliency.cues._frame import Frame, WideFrame
from lightning_saliency.cues._frequencies import Sharpness, Spectrum
from lightning_saliency.cues._geometry import Layout, Shift, Zoom
from lightning_saliency.cues._regions import GRID
from lightning_saliency.cues._scales import CoarseShape, FineDetail, Texture
from lightning_saliency.cues._surroundings import Surroundings
from lightning_saliency.cues._tone import Colour, Contrast, Level
from lightning_saliency.cues._window import Moved, Rest, Window

CELLS: Final = tuple(Cell(row, column) for row, column in product(range(GRID), repeat=2))
SINGLE: Final[tuple[Cue, ...]] = (
    WideFrame(),
    Window(),
    Level(),
    Colour(),
    Contrast(),
    Sharpness(),
    Texture(),
    Spectrum(),
    Surroundings(),
    Shift(),
    Zoom(),
    Moved(),
    Frame(),
    Layout(),
    Band(),
    FineDetail(),
    CoarseShape(),
    Rest(),
)
CUES: Final[dict[str, tuple[Cue, ...]]] = {
    **{cue.name: (cue,) for cue in SINGLE},
    "cell": CELLS,
    **{cue.name: (cue,) for cue in CELLS},
}

DEFAULT: Final[tuple[Cue, ...]] = SINGLE[:11]
"""The cues of every evaluation: at most 28 changed images a donor with 4 hosts."""

FURTHER: Final[tuple[Cue, ...]] = (*SINGLE[11:14], *CELLS, Band())
"""The cues that name an alarm more closely, and draw the place map."""


def names() -> list[str]:
    """List the names that `select` knows; `"cell"` is 16 cues.

    Example:
        >>> names()[:3]
        ['wide_frame', 'window', 'level']
    """
    return list(CUES)


def select(members: Sequence[str | Cue]) -> tuple[Cue, ...]:
    """Return cues for names and cues.

    Args:
        members: Names, of which `"cell"` stands for all cells, and cues.

    Returns:
        Cues with distinct names.

    Raises:
        TypeError: If they are not in a sequence, or one is neither a name nor a cue.
        ValueError: If a name is unknown or repeated.

    Example:
        >>> [cue.name for cue in select(["frame", Cell(0, 3)])]
        ['frame', 'cell_0_3']
        >>> len(select(["cell"]))
        16
    """
    if isinstance(members, str | Cue) or not isinstance(members, Sequence):
        raise TypeError(f"`cues` must be a sequence of names and cues, but got {members!r}.  Put it in a list.")
    chosen = tuple(cue for member in members for cue in _cues_of(member))
    repeated = sorted({cue.name for cue in chosen if sum(cue.name == other.name for other in chosen) > 1})
    if repeated:
        raise ValueError(f"`cues` must have distinct names, but got {repeated} more than once.")
    return chosen


def _cues_of(member: object) -> tuple[Cue, ...]:
    if isinstance(member, Cue):
        return (member,)
    if not isinstance(member, str):
        raise TypeError(
            f"`cues` must hold names and instances of cues, but got {member!r}.  Derive from `Cue` for another cue."
        )
    if member not in CUES:
        raise ValueError(f"`cues` must hold names such as {', '.join(SHOWN)}, but got {member!r}.")
    return CUES[member]


SHOWN: Final = (*(cue.name for cue in SINGLE), "cell")
