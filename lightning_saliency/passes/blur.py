"""Separable Gaussian blur in any number of dimensions, as one small matrix for each."""

import functools
from typing import Final

import torch
from torch import Tensor

from lightning_saliency._types import Images

CUT: Final = 4.0


def blur(images: Images, sigma: float) -> Images:
    """Blur images with a Gaussian of `sigma` pixels, cut at 4 sigma; beyond their edges they are mirrored.

    Mirroring keeps each channel's mean, so that ever wider blur ends in that mean and not in the dark.
    """
    blurred = images if images.dtype == torch.float64 else images.float()
    for dim in range(2, images.ndim):
        matrix = _matrix(images.shape[dim], float(sigma)).to(blurred)
        blurred = (blurred.movedim(dim, -1) @ matrix).movedim(-1, dim)
    return blurred.to(images.dtype)


@functools.lru_cache(maxsize=256)
def _matrix(length: int, sigma: float) -> Tensor:
    """Weights that make output position j of input position i, (length, length)."""
    radius = int(CUT * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1)
    kernel = torch.exp(-0.5 * (offsets / max(sigma, 1e-12)).double().square())
    source = (torch.arange(length)[:, None] + offsets) % (2 * length)
    mirrored = torch.where(source < length, source, 2 * length - 1 - source)
    weights = (kernel / kernel.sum()).expand(length, -1)
    return torch.zeros(length, length, dtype=torch.float64).scatter_add_(1, mirrored, weights).T.contiguous()
