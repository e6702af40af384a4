"""Cues of the pixels along the border."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from lightning_saliency._types import Images
from lightning_saliency.cues._cue import Cue, Evidence, Family
from lightning_saliency.cues._regions import frame_mask


@dataclass(frozen=True)
class Frame(Cue):
    """The outermost 1/16 of each side, at least one pixel.

    Example:
        >>> import torch
        >>> Frame()(torch.zeros(1, 1, 3, 4), torch.ones(1, 1, 3, 4))
        tensor([[[[1., 1., 1., 1.],
                  [1., 0., 0., 1.],
                  [1., 1., 1., 1.]]]])
    """

    name: ClassVar[str] = "frame"
    families: ClassVar[tuple[Family, ...]] = ("place", "geometry")
    evidence: ClassVar[Evidence] = "tolerance"
    min_side: ClassVar[int] = 3

    def transplant(self, hosts: Images, donors: Images, donor_maps: None) -> Images:
        """Put the frame over the hosts."""
        return torch.where(frame_mask(hosts.shape[2:], 1 / 16, hosts.device), donors, hosts)


@dataclass(frozen=True)
class WideFrame(Cue):
    """The outermost 1/8 of each side, at least one pixel.

    Example:
        >>> import torch
        >>> WideFrame()(torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16)).sum()
        tensor(112.)
    """

    name: ClassVar[str] = "wide_frame"
    families: ClassVar[tuple[Family, ...]] = ("place", "geometry")
    evidence: ClassVar[Evidence] = "tolerance"
    min_side: ClassVar[int] = 3

    def transplant(self, hosts: Images, donors: Images, donor_maps: None) -> Images:
        """Put the frame over the hosts."""
        return torch.where(frame_mask(hosts.shape[2:], 1 / 8, hosts.device), donors, hosts)
