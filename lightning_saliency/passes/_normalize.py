"""Bring maps to [0, 1], each by its own range."""

import torch

from lightning_saliency._types import Maps


def normalize(maps: Maps) -> Maps:
    """Scale each map to [0, 1] by its own minimum and maximum.

    Args:
        maps: Raw maps of shape (B, *S).

    Returns:
        Maps of the same shape, at least in single precision; a constant map becomes zeros (where the official
        code of Guided AbsoluteGrad gives ones, and others NaN).

    Example:
        >>> import torch
        >>> normalize(torch.tensor([[[1.0, 3.0], [2.0, 5.0]], [[7.0, 7.0], [7.0, 7.0]]]))
        tensor([[[0.0000, 0.5000],
                 [0.2500, 1.0000]],
        <BLANKLINE>
                [[0.0000, 0.0000],
                 [0.0000, 0.0000]]])
    """
    flat = maps.flatten(1)
    # Halved, so that the spread of huge values stays finite.
    flat = (flat if flat.dtype == torch.float64 else flat.float()) / 2
    lowest, highest = flat.amin(dim=1, keepdim=True), flat.amax(dim=1, keepdim=True)
    spread = highest - lowest
    scaled = torch.where(spread == 0, 0.0, (flat - lowest) / torch.where(spread == 0, 1.0, spread))
    return scaled.reshape(maps.shape)
