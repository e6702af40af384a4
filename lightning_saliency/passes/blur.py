"""Gaussian blur of tensors with any number of spatial dimensions."""

import functools
from typing import Final

import torch
from torch import Tensor

from lightning_saliency._types import Images

TRUNCATE: Final = 4.0


def gaussian_blur(images: Images, sigma: float, *, radius: int | None = None) -> Images:
    """Blur images (B, C, *S) along every spatial dimension.

    Borders are mirrored (edge pixel included), which keeps each channel's mean and works for any size. Along
    a dimension the blur is one small matrix, whose cost does not grow with `sigma`.

    Args:
        images: Images (B, C, *S).
        sigma: Standard deviation of the kernel in pixels; 0 changes nothing.
        radius: Reach of the kernel in pixels; `None` cuts it at four standard deviations.

    Returns:
        Images of the same shape.

    Example:
        >>> import torch
        >>> gaussian_blur(torch.tensor([[[0.0, 0.0, 1.0, 0.0, 0.0]]]), 1e3, radius=1)
        tensor([[[0.0000, 0.3333, 0.3333, 0.3333, 0.0000]]])
    """
    reach = int(TRUNCATE * sigma + 0.5) if radius is None else radius
    if sigma == 0 or reach == 0:
        return images
    blurred = images if images.dtype == torch.float64 else images.float()
    for dimension in range(2, images.ndim):
        weights = _weights(images.shape[dimension], sigma, reach).to(blurred)
        blurred = (blurred.movedim(dimension, -1) @ weights).movedim(-1, dimension)
    return blurred.to(images.dtype)


@functools.lru_cache(maxsize=4)
def _weights(size: int, sigma: float, reach: int) -> Tensor:
    """Return the share of each pixel (row) in each blurred one (column), (size, size)."""
    offsets = torch.arange(-reach, reach + 1, dtype=torch.int64, device="cpu")
    kernel = (-0.5 * (offsets.double() / sigma).square()).exp()
    # A mirrored line repeats after twice its length: fold the kernel to that, and find each pixel and its mirror in it.
    folded = torch.zeros(2 * size, dtype=torch.float64, device="cpu").index_add_(0, offsets % (2 * size), kernel)
    places = torch.arange(size, dtype=torch.int64, device="cpu")
    direct, mirrored = places - places[:, None], places + places[:, None] + 1
    return (folded[direct % (2 * size)] + folded[-mirrored % (2 * size)]) / kernel.sum()
