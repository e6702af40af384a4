"""The cue of the donor's most relevant band."""

from dataclasses import dataclass
from typing import ClassVar, Final

import torch

from lightning_saliency._exact import exact
from lightning_saliency._types import Images, Maps, per_image
from lightning_saliency.cues._cue import Cue, Evidence, Family
from lightning_saliency.cues._regions import box_mask, most_relevant

THICKNESS: Final = 1 / 8


@dataclass(frozen=True)
class Band(Cue):
    """The most relevant band of the donor, across the picture and 1/8 of its side thick, at the same place of the host.

    A watermark fits into a band and not into a window.

    Example:
        >>> import torch
        >>> donors, maps = torch.ones(1, 1, 4, 4), torch.zeros(1, 4, 4)
        >>> maps[0, 2, 1:3] = 1
        >>> Band()(torch.zeros(1, 1, 4, 4), donors, maps)[0, 0, :, 0]
        tensor([0., 0., 1., 0.])
    """

    name: ClassVar[str] = "band"
    families: ClassVar[tuple[Family, ...]] = ("place", "texture")
    evidence: ClassVar[Evidence] = "tolerance"
    needs_maps: ClassVar[bool] = True
    min_side: ClassVar[int] = 4

    def transplant(self, hosts: Images, donors: Images, donor_maps: Maps) -> Images:
        """Put the band over the hosts."""
        space = list(donor_maps.shape[1:])
        best, changed = exact(torch.full((len(hosts),), -torch.inf, device=hosts.device)), hosts
        for dimension, side in enumerate(space):
            sizes = [*space[:dimension], max(1, round(side * THICKNESS)), *space[dimension + 1 :]]
            band = most_relevant(donor_maps, sizes)
            is_better = per_image(band.sums > best, hosts)
            candidates = torch.where(box_mask(band.corners, sizes, space), donors, hosts)
            best, changed = torch.maximum(best, band.sums), torch.where(is_better, candidates, changed)
        return changed
