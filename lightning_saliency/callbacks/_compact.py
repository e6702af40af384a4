"""Small copies of maps, to be remembered, sent between processes and compared over epochs."""

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from lightning_saliency._types import Maps
from lightning_saliency.passes import normalize

LONGEST_SIDE: Final = 64
POOLS: Final[dict[int, Any]] = {
    1: functional.adaptive_avg_pool1d,
    2: functional.adaptive_avg_pool2d,
    3: functional.adaptive_avg_pool3d,
}


def compact(maps: Maps) -> Tensor:
    """Average maps down to at most 64 positions a side, scale them to [0, 1], and keep them as float16 on the CPU."""
    size = tuple(min(length, LONGEST_SIDE) for length in maps.shape[1:])
    pooled = maps if size == tuple(maps.shape[1:]) else POOLS[len(size)](maps[:, None], size)[:, 0]
    return normalize(pooled.float()).to("cpu", torch.float16)
