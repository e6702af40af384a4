"""Weights of features by how much their gradients vary."""

from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor

from lightning_saliency.passes.quantiles import quantile

Guide: TypeAlias = Literal["official", "mask", "relative"]
GUIDES: Final = ("official", "mask", "relative", None)


def variance_guide(variance: Tensor, percentile: float, guide: Guide = "official") -> Tensor:
    """Return weights of features: 1 where the variance (B, C, *S) exceeds its quantile over space.

    Elsewhere the weight is the variance itself for `"official"`, zero for `"mask"`, and the variance in units of the
    quantile for `"relative"`.
    """
    threshold = quantile(variance, percentile, first=2)
    below = {
        "official": variance,
        "mask": torch.zeros_like(variance),
        "relative": variance / torch.where(threshold == 0, 1.0, threshold),
    }
    return torch.where(variance > threshold, 1.0, below[guide])
