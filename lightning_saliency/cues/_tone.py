"""Cues of brightness, colour and contrast."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lightning_saliency._types import Images, per_image
from lightning_saliency.cues._cue import Cue, Evidence, Family
from lightning_saliency.passes.quantiles import median


@dataclass(frozen=True)
class Level(Cue):
    """The median of all values of the image.

    Example:
        >>> import torch
        >>> Level()(torch.tensor([[[[0.0, 1.0, 2.0]]]]), torch.tensor([[[[5.0, 7.0, 9.0]]]]))
        tensor([[[[6., 7., 8.]]]])
    """

    name: ClassVar[str] = "level"
    families: ClassVar[tuple[Family, ...]] = ("tone",)
    evidence: ClassVar[Evidence] = "tolerance"
    max_hosts: ClassVar[int] = 2

    def transplant(self, hosts: Images, donors: Images, donor_maps: None) -> Images:
        """Add the difference of the medians."""
        return hosts + per_image(_levels(donors) - _levels(hosts), hosts)


@dataclass(frozen=True)
class Colour(Cue):
    """The median of each channel, less the median of all.

    Example:
        >>> import torch
        >>> hosts, donors = torch.zeros(1, 3, 1, 1), torch.tensor([1.0, 2.0, 5.0]).reshape(1, 3, 1, 1)
        >>> Colour()(hosts, donors).flatten()
        tensor([-1.,  0.,  3.])
    """

    name: ClassVar[str] = "colour"
    families: ClassVar[tuple[Family, ...]] = ("tone",)
    evidence: ClassVar[Evidence] = "tolerance"
    max_hosts: ClassVar[int] = 2
    min_channels: ClassVar[int] = 2

    def transplant(self, hosts: Images, donors: Images, donor_maps: None) -> Images:
        """Add the difference of the channels' medians, less that of the levels."""
        channels = median(donors.flatten(2)) - median(hosts.flatten(2))
        levels = _levels(donors) - _levels(hosts)
        return hosts + per_image(channels - levels[:, None], hosts)


@dataclass(frozen=True)
class Contrast(Cue):
    """The standard deviation of all values of the image. A constant host stays as it is.

    Example:
        >>> import torch
        >>> Contrast()(torch.tensor([[[[1.0, 2.0, 3.0]]]]), torch.tensor([[[[0.0, 5.0, 10.0]]]])).round()
        tensor([[[[-3.,  2.,  7.]]]])
    """

    name: ClassVar[str] = "contrast"
    families: ClassVar[tuple[Family, ...]] = ("tone",)
    evidence: ClassVar[Evidence] = "tolerance"
    max_hosts: ClassVar[int] = 2

    def transplant(self, hosts: Images, donors: Images, donor_maps: None) -> Images:
        """Stretch the hosts around their means."""
        means = per_image(hosts.flatten(1).mean(dim=1), hosts)
        spread = hosts.flatten(1).std(dim=1, correction=0)
        ratios = torch.where(spread > 0, donors.flatten(1).std(dim=1, correction=0) / spread.clamp(min=TINY), 1.0)
        return means + (hosts - means) * per_image(ratios, hosts)


TINY = 1e-12


def _levels(images: Images) -> Tensor:
    return median(images.flatten(1))
