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
    ascending = values.flatten(first).sort(dim=first).values
    position = fraction * (ascending.shape[first] - 1)
    below = int(position)
    above = min(below + 1, ascending.shape[first] - 1)
    return per_image(torch.lerp(ascending[..., below], ascending[..., above], position - below), values)
