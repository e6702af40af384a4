"""Patterns that images have in common at a fixed place, such as a watermark."""

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from lightning_saliency._types import Images

# With fewer images a pattern may be the same by chance, and more say nothing new.
FEWEST_IMAGES, MOST_IMAGES = 16, 64
# A position belongs to a pattern if its contrast with its neighbours is so many standard deviations over the images.
STEADINESS: Final = 2.0
# In units of the range of all values.
LEAST_CONTRAST: Final = 0.02
CONSTANT: Final = 1e-3
# A constant colour that so large a share of the positions has is a background or a border, and no pattern.
BACKGROUND_SHARE: Final = 0.05
FEWEST_POSITIONS: Final = 4
LEAST_SHARE: Final = 0.002
POOLS: Final[dict[int, Any]] = {
    1: (functional.avg_pool1d, functional.max_pool1d),
    2: (functional.avg_pool2d, functional.max_pool2d),
    3: (functional.avg_pool3d, functional.max_pool3d),
}


def shared_positions(images: Images) -> Tensor | None:
    """Return where all images have the same pattern, (*S) boolean, or `None` where they have none.

    A position belongs to a pattern if its value is constant over the images, or if its contrast with the surrounding
    3 x 3 positions is steady: its mean over the images is at least two standard deviations and 2 % of the range of all
    values. A constant colour of a twentieth of the image is a background, and does not count, nor do its borders. A
    pattern has at least four positions and .2 % of the image. Of fewer than 16 images it is not known.

    Example:
        >>> import torch
        >>> images = torch.rand(20, 1, 16, 16)
        >>> shared_positions(images) is None
        True
        >>> images[:, :, 2:5, 2:5] = 1.0
        >>> shared_positions(images)[2:5, 2:5].all()
        tensor(True)
    """
    dims = images.ndim - 2
    if len(images) < FEWEST_IMAGES or dims not in POOLS:
        return None
    images = images[:MOST_IMAGES].float()
    span = (images.max() - images.min()).item()
    if span <= 0:
        return None
    constant = (images.std(dim=0) <= CONSTANT * span).all(dim=0)
    background = _background(images.mean(dim=0), constant, CONSTANT * span)
    average, largest = POOLS[dims]
    near_background = largest(background[None, None].float(), 3, 1, 1)[0, 0] > 0
    contrast = images - average(images, 3, 1, 1, count_include_pad=False)
    mean, spread = contrast.mean(dim=0).abs(), contrast.std(dim=0)
    steady = ((mean > LEAST_CONTRAST * span) & (mean > STEADINESS * spread)).any(dim=0)
    shared = (constant & ~background) | (steady & ~near_background)
    return shared if shared.sum() >= max(FEWEST_POSITIONS, LEAST_SHARE * shared.numel()) else None


def _background(mean: Tensor, constant: Tensor, tolerance: float) -> Tensor:
    """Return which constant positions have a colour that many others have, (*S)."""
    colours = (mean[:, constant] / tolerance).round()
    _, numbers, counts = colours.unique(dim=1, return_inverse=True, return_counts=True)
    background = torch.zeros_like(constant)
    background[constant] = counts[numbers] >= BACKGROUND_SHARE * constant.numel()
    return background
