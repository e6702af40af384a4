"""Quantiles of images and channels, deterministic on every device."""

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
    lower, upper = in_order(flat, below, min(below + 1, flat.shape[first] - 1))
    return per_image(torch.lerp(lower, upper, position - below), values)


def median(values: Tensor) -> Tensor:
    """Return the lower median over the last dimension.

    `Tensor.median` gives indices as well, which a GPU refuses where algorithms have to be deterministic.

    Example:
        >>> import torch
        >>> median(torch.tensor([[4.0, 1.0, 3.0, 2.0], [5.0, 5.0, 0.0, 7.0]]))
        tensor([2., 5.])
    """
    return in_order(values, (values.shape[-1] - 1) // 2)[0]


def in_order(flat: Tensor, *places: int) -> Tensor:
    """Return the values at these places of the ascending order of the last dimension, place by place."""
    if flat.device.type == "cpu":
        # A third of the time of sorting; elsewhere it may be nondeterministic or missing.
        return torch.stack([flat.kthvalue(place + 1, dim=-1).values for place in places])
    ascending = flat.sort(dim=-1).values
    return torch.stack([ascending[..., place] for place in places])
