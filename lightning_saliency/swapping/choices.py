"""The cues that can be swapped, grouped by the name that stands for them."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from lightning_saliency.cues import Cue, select

Choices: TypeAlias = Mapping[str, tuple[Cue, ...]]
"""Cues by the name that stands for them. Only `"cell"` has several, of which an image gets a quarter."""

DEFAULT_SWAPS: Final = ("wide_frame", "cell", "level", "colour", "spectrum", "sharpness")


def choices_of(cues: Sequence[str | Cue]) -> dict[str, tuple[Cue, ...]]:
    """Return the cues of names and instances.

    Raises:
        TypeError: If they are not in a sequence, or one is neither a name nor a cue.
        ValueError: If there is none, a name is unknown or repeated, or a cue needs maps.

    Example:
        >>> {name: len(group) for name, group in choices_of(["level", "cell"]).items()}
        {'level': 1, 'cell': 16}
    """
    chosen = select(cues)
    if not chosen:
        raise ValueError("`cues` must hold at least one cue, but got none.  Pass None for the default cues.")
    mapped = [cue.name for cue in chosen if cue.needs_maps]
    if mapped:
        raise ValueError(
            f"`cues` must hold cues that need no maps, but got {mapped}.  Use 'cell', which is 4 of 16 cells."
        )
    return {cue if isinstance(cue, str) else cue.name: select([cue]) for cue in cues}


def fitting(choices: Choices, shape: tuple[int, ...]) -> dict[str, tuple[Cue, ...]]:
    """Leave out the cues that do not apply to images of a shape (C, *S)."""
    usable = {name: tuple(cue for cue in group if not cue.misfit(shape)) for name, group in choices.items()}
    return {name: group for name, group in usable.items() if group}
