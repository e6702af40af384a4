"""The cue of marked places, which are swapped all at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lightning_saliency._types import Images
from lightning_saliency.cues import Cue
from lightning_saliency.cues._cue import Family


@dataclass(frozen=True, eq=False)
class Places(Cue):
    """Everything at marked places, at the same places of the host.

    A sign that is at one place in each class is overwritten if all these places are marked. A part of them would leave
    the host's own sign in other images.

    Args:
        marks: Marks (*S), bool, which are stretched to the images' size.
    """

    name: ClassVar[str] = "places"
    families: ClassVar[tuple[Family, ...]] = ("place",)

    marks: Tensor

    def misfit(self, shape: tuple[int, ...]) -> str:
        """Return a sentence about why it does not apply to images of a shape (C, *S); empty where it applies."""
        expected, got = self.marks.ndim, len(shape) - 1
        return "" if expected == got else f"Images must have {expected} spatial dimensions, but got shape {shape}."

    def transplant(self, hosts: Images, donors: Images, donor_maps: None) -> Images:
        """Put the places over the hosts."""
        return torch.where(stretched(self.marks, hosts.shape[2:]).to(hosts.device, non_blocking=True), donors, hosts)


def stretched(marks: Tensor, space: Sequence[int]) -> Tensor:
    """Repeat or leave out marks, so that there is one for each position."""
    for dimension, side in enumerate(space):
        length = marks.shape[dimension]
        marks = marks.index_select(dimension, torch.arange(side) * length // side)
    return marks


def without_regions(marks: Tensor, cues: Iterable[Cue]) -> Tensor:
    """Take the marks away from where cues such as frames and cells are."""
    blank = torch.zeros(1, 1, *marks.shape)
    for cue in cues:
        if "place" in cue.families and not cue.needs_maps and not cue.misfit(tuple(blank.shape[1:])):
            marks = marks & (cue(blank, blank + 1)[0, 0] == 0)
    return marks
