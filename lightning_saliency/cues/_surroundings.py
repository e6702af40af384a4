"""The cue of the donor's less relevant positions."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from lightning_saliency._types import Images, Maps
from lightning_saliency.cues._cue import Cue, Evidence, Family
from lightning_saliency.cues._regions import irrelevant_mask


@dataclass(frozen=True)
class Surroundings(Cue):
    """Everything outside of the donor's most relevant 40 %.

    Example:
        >>> import torch
        >>> maps = torch.arange(10.0).reshape(1, 2, 5)
        >>> Surroundings()(torch.zeros(1, 1, 2, 5), torch.ones(1, 1, 2, 5), maps)
        tensor([[[[1., 1., 1., 1., 1.],
                  [1., 0., 0., 0., 0.]]]])
    """

    name: ClassVar[str] = "surroundings"
    families: ClassVar[tuple[Family, ...]] = ("place",)
    evidence: ClassVar[Evidence] = "conflict"
    max_hosts: ClassVar[int] = 2
    needs_maps: ClassVar[bool] = True

    def transplant(self, hosts: Images, donors: Images, donor_maps: Maps) -> Images:
        """Put the less relevant positions over the hosts."""
        return torch.where(irrelevant_mask(donor_maps), donors, hosts)
