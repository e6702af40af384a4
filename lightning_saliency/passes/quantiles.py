"""Quantiles of images and channels."""

import torch
from torch import Tensor

from lightning_saliency._types import per_image


def quantile(values: Tensor, fraction: float, *, first: int = 1) -> Tensor:
    """Return the linearly interpolated quantile over the dimensions from `first` on, which become 1.

    Unlike `torch.quantile` it has no limit on the number of elements.

    Example:
        >>> import torch
        >>> quantile(torch.tensor([[0.0, 4.0, 2.0], [5.0, 5.0, 5.0]]), 0.75)
        tensor([[3.],
                [5.]])
    """
    flat = values.flatten(first)
    position = fraction * (flat.shape[first] - 1)
    below = int(position)
    # Sorting only what is not below the quantile saves most of the time where that is high.
    highest = flat.topk(flat.shape[first] - below, dim=first).values
    above = highest[..., max(highest.shape[first] - 2, 0)]
    return per_image(torch.lerp(highest[..., -1], above, position - below), values)
