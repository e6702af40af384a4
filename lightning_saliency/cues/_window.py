"""Cues of the donor's most relevant window."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from lightning_saliency._types import Images, Maps
from lightning_saliency.cues._cue import Cue, Evidence, Family
from lightning_saliency.cues._regions import box_mask, rolled, window_of


@dataclass(frozen=True)
class Window(Cue):
    """The most relevant square of the donor, 1/16 of its area, at the same place of the host.

    Example:
        >>> import torch
        >>> donors, maps = torch.ones(1, 1, 4, 4), torch.zeros(1, 4, 4)
        >>> maps[0, 1, 2] = 1
        >>> Window()(torch.zeros(1, 1, 4, 4), donors, maps)[0, 0].nonzero()
        tensor([[1, 2]])
    """

    name: ClassVar[str] = "window"
    families: ClassVar[tuple[Family, ...]] = ("place",)
    evidence: ClassVar[Evidence] = "tolerance"
    tolerance: ClassVar[float] = 0.10
    class_tolerance: ClassVar[float] = 0.50
    needs_maps: ClassVar[bool] = True
    min_side: ClassVar[int] = 4

    def transplant(self, hosts: Images, donors: Images, donor_maps: Maps) -> Images:
        """Put the window over the hosts."""
        window = window_of(donor_maps)
        return torch.where(box_mask(window.corners, window.sizes, donor_maps.shape[1:]), donors, hosts)


@dataclass(frozen=True)
class Moved(Cue):
    """The most relevant square of the donor at another place of the host, half a side away.

    A network that follows the window and not this cue reads a mark at one place.

    Example:
        >>> import torch
        >>> donors, maps = torch.ones(1, 1, 4, 4), torch.zeros(1, 4, 4)
        >>> maps[0, 1, 2] = 1
        >>> Moved()(torch.zeros(1, 1, 4, 4), donors, maps)[0, 0].nonzero()
        tensor([[3, 0]])
    """

    name: ClassVar[str] = "moved"
    families: ClassVar[tuple[Family, ...]] = ("place",)
    evidence: ClassVar[Evidence] = "tolerance"
    needs_maps: ClassVar[bool] = True
    min_side: ClassVar[int] = 4

    def transplant(self, hosts: Images, donors: Images, donor_maps: Maps) -> Images:
        """Put the window over another place of the hosts."""
        space = donor_maps.shape[1:]
        corners, sizes, _ = window_of(donor_maps)
        sides = corners.new_tensor(list(space))
        places = (corners + sides // 2) % (sides - corners.new_tensor(sizes) + 1)
        return torch.where(box_mask(places, sizes, space), rolled(donors, places - corners), hosts)


@dataclass(frozen=True)
class Rest(Cue):
    """Everything of the donor except its most relevant window.

    Example:
        >>> import torch
        >>> donors, maps = torch.ones(1, 1, 4, 4), torch.zeros(1, 4, 4)
        >>> maps[0, 1, 2] = 1
        >>> Rest()(torch.zeros(1, 1, 4, 4), donors, maps).sum()
        tensor(15.)
    """

    name: ClassVar[str] = "rest"
    families: ClassVar[tuple[Family, ...]] = ("place",)
    needs_maps: ClassVar[bool] = True
    min_side: ClassVar[int] = 4

    def transplant(self, hosts: Images, donors: Images, donor_maps: Maps) -> Images:
        """Keep nothing of the hosts except the window."""
        window = window_of(donor_maps)
        return torch.where(box_mask(window.corners, window.sizes, donor_maps.shape[1:]), hosts, donors)
