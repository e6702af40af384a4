"""Cues of where things are and how large they are."""

from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from lightning_saliency._types import Images, per_image
from lightning_saliency.cues._cue import Cue, Evidence, Family
from lightning_saliency.cues._regions import box_mask, frame_mask
from lightning_saliency.passes.quantiles import median

LARGEST_ZOOM: Final = 4.0
FIGURE_SHARE: Final = 0.3


@dataclass(frozen=True)
class Layout(Cue):
    """The mean of each channel in each half of the picture along every side: in a picture, of each quarter.

    Example:
        >>> import torch
        >>> Layout()(torch.tensor([[[0.0, 1.0, 2.0, 3.0]]]), torch.tensor([[[8.0, 8.0, 4.0, 4.0]]]))
        tensor([[[7.5000, 8.5000, 3.5000, 4.5000]]])
    """

    name: ClassVar[str] = "layout"
    families: ClassVar[tuple[Family, ...]] = ("geometry",)
    evidence: ClassVar[Evidence] = "conflict"
    min_side: ClassVar[int] = 2

    def transplant(self, hosts: Images, donors: Images, donor_maps: None) -> Images:
        """Add the difference of the means, half by half."""
        space = hosts.shape[2:]
        changed = hosts
        for corner in torch.cartesian_prod(*[torch.tensor([0, 1])] * len(space)).reshape(-1, len(space)).tolist():
            starts = [half * (side // 2) for half, side in zip(corner, space, strict=True)]
            sizes = [side - side // 2 if half else side // 2 for half, side in zip(corner, space, strict=True)]
            mask = box_mask(torch.tensor([starts], device=hosts.device), sizes, space)
            step = ((donors - hosts) * mask).flatten(2).sum(dim=2) / mask.sum()
            changed = torch.where(mask, hosts + per_image(step, hosts), changed)
        return changed


@dataclass(frozen=True)
class Shift(Cue):
    """The place of what differs from the border. The host is moved there by whole pixels; its border fills the gap.

    Example:
        >>> import torch
        >>> hosts, donors = torch.zeros(2, 1, 1, 5, 5)
        >>> hosts[0, 0, 1, 2], donors[0, 0, 3, 2] = 1, 1
        >>> Shift()(hosts, donors)[0, 0].nonzero()
        tensor([[3, 2]])
    """

    name: ClassVar[str] = "shift"
    families: ClassVar[tuple[Family, ...]] = ("geometry",)
    evidence: ClassVar[Evidence] = "tolerance"
    max_hosts: ClassVar[int] = 2
    min_side: ClassVar[int] = 3
    num_dimensions: ClassVar[int] = 2

    def transplant(self, hosts: Images, donors: Images, donor_maps: None) -> Images:
        """Move the hosts."""
        ours, theirs = _extent(hosts), _extent(donors)
        return _resampled(hosts, ours.middle, (theirs.middle - ours.middle).round(), torch.ones_like(ours.middle))


@dataclass(frozen=True)
class Zoom(Cue):
    """The height and width of what differs from the border. The host is scaled around its middle, at most by 4.

    Example:
        >>> import torch
        >>> hosts, donors = torch.zeros(2, 1, 1, 9, 9)
        >>> hosts[..., 3:6, 3:6], donors[..., 1:8, 3:6] = 1, 1
        >>> Zoom()(hosts, donors)[0, 0, :, 4] > 0.5
        tensor([False,  True,  True,  True,  True,  True,  True,  True, False])
    """

    name: ClassVar[str] = "zoom"
    families: ClassVar[tuple[Family, ...]] = ("geometry",)
    evidence: ClassVar[Evidence] = "tolerance"
    max_hosts: ClassVar[int] = 2
    min_side: ClassVar[int] = 3
    num_dimensions: ClassVar[int] = 2

    def transplant(self, hosts: Images, donors: Images, donor_maps: None) -> Images:
        """Scale the hosts."""
        ours, theirs = _extent(hosts), _extent(donors)
        factors = (theirs.size / ours.size).clamp(1 / LARGEST_ZOOM, LARGEST_ZOOM)
        return _resampled(hosts, ours.middle, torch.zeros_like(factors), factors)


class _Extent(NamedTuple):
    """Where things are in pictures: middles and sizes in pixels, both (B, 2)."""

    middle: Tensor
    size: Tensor


def _extent(images: Images) -> _Extent:
    """Box the positions that differ from the border's colour by a share of the largest difference."""
    figure = (images - per_image(_border(images), images)).abs().sum(dim=1)
    is_figure = figure >= FIGURE_SHARE * figure.amax(dim=(1, 2), keepdim=True)
    middles, sizes = [], []
    for dimension in (2, 1):
        inside = is_figure.any(dim=dimension)
        side = inside.shape[1]
        places = torch.arange(side, device=images.device)
        first = torch.where(inside, places, side).amin(dim=1)
        last = torch.where(inside, places, -1).amax(dim=1)
        middles.append((first + last).to(images) / 2)
        sizes.append((last - first + 1).to(images))
    return _Extent(torch.stack(middles, dim=1), torch.stack(sizes, dim=1))


def _border(images: Images) -> Tensor:
    """Return the median of each channel along the border, (B, C)."""
    is_border = frame_mask(images.shape[2:], 1 / 16, images.device)[0, 0]
    return median(images[:, :, is_border])


def _resampled(images: Images, middles: Tensor, steps: Tensor, factors: Tensor) -> Images:
    """Move pictures by steps and scale them around their middles, all (B, 2); the border's colour fills gaps."""
    axes = []
    for dimension in (0, 1):
        side = images.shape[2 + dimension]
        places = torch.arange(side, device=images.device, dtype=images.dtype)
        middle = middles[:, dimension, None]
        sources = (places - middle - steps[:, dimension, None]) / factors[:, dimension, None] + middle
        axes.append((2 * sources + 1) / side - 1)
    shape = (len(images), *images.shape[2:])
    grid = torch.stack([axes[1][:, None, :].expand(shape), axes[0][:, :, None].expand(shape)], dim=-1)
    colours = per_image(_border(images), images)
    return grid_sample(images - colours, grid, align_corners=False) + colours
