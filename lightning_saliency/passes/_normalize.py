"""Bring maps to [0, 1], each by its own range."""

from typing import Final

import torch
from torch import Tensor

from lightning_saliency._checks import check_tensor
from lightning_saliency._types import Maps

BLANK: Final = 1e-5
"""Range of a map, relative to its largest magnitude, that can come from rounding."""


def is_blank(maps: Maps) -> Tensor:
    """Tell which maps (B, *S) are constant up to rounding, (B,).

    Example:
        >>> is_blank(torch.tensor([[3.0, 3.000003], [3.0, 4.0], [0.0, 0.0]]))
        tensor([ True, False,  True])
    """
    flat = maps.flatten(1)
    # Halved, so that the spread of huge values stays finite.
    flat = (flat if flat.dtype == torch.float64 else flat.float()) / 2
    lowest, highest = flat.amin(dim=1), flat.amax(dim=1)
    return highest - lowest <= BLANK * torch.maximum(highest.abs(), lowest.abs())


def flattened(maps: Maps) -> Maps:
    """Make maps (B, *S) that are constant up to rounding exactly constant, and leave the others as they are.

    Example:
        >>> flattened(torch.tensor([[3.0, 3.000003], [3.0, 4.0]]))
        tensor([[3., 3.],
                [3., 4.]])
    """
    constant = maps.flatten(1)[:, 0].reshape(-1, *[1] * (maps.ndim - 1))
    return torch.where(is_blank(maps).reshape(constant.shape), constant, maps)


def normalize(maps: Maps) -> Maps:
    """Scale each map to [0, 1] by its own minimum and maximum.

    Args:
        maps: Raw maps of shape (B, *S).

    Returns:
        Maps of the same shape, at least in single precision. A map that is constant, up to rounding (1e-5 of its
        largest magnitude), becomes zeros, where the official code of Guided AbsoluteGrad gives ones, and others NaN.

    Raises:
        TypeError: If maps are not a tensor (B, *S) of real numbers.

    Example:
        >>> import torch
        >>> normalize(torch.tensor([[[1.0, 3.0], [2.0, 5.0]], [[7.0, 7.0], [7.0, 7.0]]]))
        tensor([[[0.0000, 0.5000],
                 [0.2500, 1.0000]],
        <BLANKLINE>
                [[0.0000, 0.0000],
                 [0.0000, 0.0000]]])
    """
    check_tensor("maps", maps, ndim=2)
    flat = maps.flatten(1)
    # Halved, so that the spread of huge values stays finite.
    flat = (flat if flat.dtype == torch.float64 else flat.float()) / 2
    lowest, highest = flat.amin(dim=1, keepdim=True), flat.amax(dim=1, keepdim=True)
    spread = highest - lowest
    blank = is_blank(maps)[:, None]
    scaled = torch.where(blank, 0.0, (flat - lowest) / torch.where(blank, 1.0, spread))
    return scaled.reshape(maps.shape)
