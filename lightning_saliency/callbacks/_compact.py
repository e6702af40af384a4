"""Small copies of maps, to be remembered, sent between processes and compared over epochs."""

from typing import Any, Final, NamedTuple

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


class SmallMap(NamedTuple):
    """A map in small, and the range it had.

    Attributes:
        values: Values (*S) scaled to [0, 1], float16 on the CPU.
        low: What 0 stands for.
        high: What 1 stands for.
    """

    values: Tensor
    low: float
    high: float

    def raw(self) -> Tensor:
        """Return the values as they were, to float16's accuracy."""
        return self.low + (self.high - self.low) * self.values.float()


def compact(maps: Maps) -> list[SmallMap]:
    """Average maps down to at most 64 positions a side, and scale them to [0, 1]."""
    size = tuple(min(length, LONGEST_SIDE) for length in maps.shape[1:])
    pooled = (maps if size == tuple(maps.shape[1:]) else POOLS[len(size)](maps[:, None], size)[:, 0]).float()
    values = normalize(pooled).to("cpu", torch.float16)
    lows, highs = (bound.tolist() for bound in pooled.flatten(1).aminmax(dim=1))
    # Copies, lest the whole batch be kept and sent for the sake of one map.
    return [SmallMap(one.clone(), low, high) for one, low, high in zip(values, lows, highs, strict=True)]
