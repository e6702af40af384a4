"""Cues of fine and of coarse structure, on a scale in pixels: a share of a large side would hold parts of objects."""

from dataclasses import dataclass
from typing import ClassVar, Final

import torch

from lightning_saliency._types import Images
from lightning_saliency.cues._cue import Cue, Evidence, Family, spatial
from lightning_saliency.passes.blur import gaussian_blur

DETAIL: Final = 4 / 12**0.5
"""Standard deviation in pixels of the blur that separates the scales: that of a square of 4 pixels."""


@dataclass(frozen=True)
class FineDetail(Cue):
    """Structure finer than about 4 pixels.

    Example:
        >>> import torch
        >>> torch.equal(FineDetail()(torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)), torch.zeros(1, 1, 8, 8))
        True
    """

    name: ClassVar[str] = "fine_detail"
    families: ClassVar[tuple[Family, ...]] = ("texture",)

    def transplant(self, hosts: Images, donors: Images, donor_maps: None) -> Images:
        """Add the donors' detail to the blurred hosts."""
        return gaussian_blur(hosts, DETAIL) + _detail(donors)


@dataclass(frozen=True)
class CoarseShape(Cue):
    """Structure coarser than about 4 pixels.

    Example:
        >>> import torch
        >>> torch.equal(CoarseShape()(torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)), torch.ones(1, 1, 8, 8))
        True
    """

    name: ClassVar[str] = "coarse_shape"
    families: ClassVar[tuple[Family, ...]] = ("geometry",)

    def transplant(self, hosts: Images, donors: Images, donor_maps: None) -> Images:
        """Add the hosts' detail to the blurred donors."""
        return gaussian_blur(donors, DETAIL) + _detail(hosts)


@dataclass(frozen=True)
class Texture(Cue):
    """Structure finer than about 4 pixels, moved by a quarter of each side, so that it has no place.

    Example:
        >>> import torch
        >>> torch.equal(Texture()(torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)), torch.zeros(1, 1, 8, 8))
        True
    """

    name: ClassVar[str] = "texture"
    families: ClassVar[tuple[Family, ...]] = ("texture",)
    evidence: ClassVar[Evidence] = "tolerance"
    tolerance: ClassVar[float] = 0.12

    def transplant(self, hosts: Images, donors: Images, donor_maps: None) -> Images:
        """Add the donors' rolled detail to the blurred hosts."""
        dimensions = spatial(donors)
        rolled = torch.roll(_detail(donors), [donors.shape[dimension] // 4 for dimension in dimensions], dimensions)
        return gaussian_blur(hosts, DETAIL) + rolled


def _detail(images: Images) -> Images:
    return images - gaussian_blur(images, DETAIL)
