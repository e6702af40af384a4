"""Small copies of maps and fingerprints of images, to be remembered, sent and compared over epochs."""

import zlib
from typing import Any, Final, NamedTuple, TypeAlias

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
        low: The value that 0 stands for.
        high: The value that 1 stands for.
    """

    values: Tensor
    low: float
    high: float

    def raw(self) -> Tensor:
        """Return the values as they were, to float16's accuracy."""
        return self.low + (self.high - self.low) * self.values.float()


MapsByImage: TypeAlias = dict[int, SmallMap]
MapsByMethod: TypeAlias = dict[str, MapsByImage]


def compact(maps: Maps) -> list[SmallMap]:
    """Average maps down to at most 64 positions a side, and scale them to [0, 1]."""
    size = tuple(min(length, LONGEST_SIDE) for length in maps.shape[1:])
    pooled = (maps if size == tuple(maps.shape[1:]) else POOLS[len(size)](maps[:, None], size)[:, 0]).float()
    values = normalize(pooled).to("cpu", torch.float16)
    lows, highs = (bound.tolist() for bound in pooled.flatten(1).aminmax(dim=1))
    # Copies, because a view would keep its whole batch in memory.
    return [SmallMap(one.clone(), low, high) for one, low, high in zip(values, lows, highs, strict=True)]


def fingerprint(image: Tensor) -> int:
    """Return a number that two images (C, *S) share only if all their values are equal, except by a rare chance."""
    values = image.detach().to("cpu", torch.float32).contiguous()
    return zlib.crc32(values.numpy().tobytes(), zlib.crc32(str(tuple(image.shape)).encode()))
