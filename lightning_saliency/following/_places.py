"""The places that are relevant in images of the same class."""

from typing import Final

import torch
from torch import Tensor

from lightning_saliency._types import Maps
from lightning_saliency.passes.blur import gaussian_blur
from lightning_saliency.passes.quantiles import median

SPREAD: Final = 1.0
"""Standard deviation in positions of the blur that joins what is relevant beside a mark with the mark."""
SHARE: Final = 0.2
"""Least relevance of a marked place, as a share of the most relevant one."""


def relevant_places(maps: Maps, labels: Tensor) -> Tensor:
    """Mark the places where a class has much more relevance on average than most classes have there.

    A sign that is always at the same place in a class is marked completely. Objects are at other places in each image,
    so that their relevance is spread, and what is relevant in every class belongs to no sign.

    Args:
        maps: Maps (N, *S) of absolute relevance.
        labels: The classes that they explain, (N,).

    Returns:
        Marks (*S), bool; none where all maps are blank.
    """
    totals = maps.flatten(1).sum(dim=1).clamp(min=torch.finfo(maps.dtype).tiny)
    shares = maps / totals.reshape(-1, *[1] * (maps.ndim - 1))
    means = torch.stack([shares[labels == label].mean(dim=0) for label in labels.unique()])
    smooth = gaussian_blur(means[:, None], SPREAD)[:, 0]
    usual = median(smooth.movedim(0, -1)) if len(smooth) > 2 else smooth.amin(dim=0)
    relevance = (smooth - usual).amax(dim=0)
    return (relevance >= SHARE * relevance.max()) & (relevance > 0)
