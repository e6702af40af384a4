"""Small copies of maps and fingerprints of images, to be remembered, sent and compared over epochs."""

import math
import zlib
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from lightning_saliency._types import Maps
from lightning_saliency.passes import normalize

LONGEST_SIDE: Final = 64
# The most that a monitor remembers, for maps of three evaluations (previous, first, best) in float16.
MOST_BYTES: Final = 8 * 2**20
KEPT: Final = 3
BYTES: Final = 2
# Maps of fewer positions a side say little about drift: beyond, fewer images are remembered.
SMALLEST_SIDE: Final = 8
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


def within_bound(maps: MapsByMethod, num_maps: int) -> MapsByMethod:
    """Make maps smaller, and keep those of fewer images if they would be too small, to bound what is remembered.

    The choice depends only on the index of an image and the numbers of images and methods, so that all processes agree.

    Args:
        maps: Small maps.
        num_maps: The number of maps of all processes.
    """
    most = MOST_BYTES // (KEPT * BYTES * max(num_maps, 1))
    return {method: dict(_within_bound(by_image, most)) for method, by_image in maps.items()}


def _within_bound(by_image: MapsByImage, most: int) -> Iterator[tuple[int, SmallMap]]:
    for index, small in by_image.items():
        side = max(int((most + 0.5) ** (1 / small.values.ndim)), SMALLEST_SIDE)
        size = tuple(min(length, side) for length in small.values.shape)
        share = most / math.prod(size)
        if zlib.crc32(str(index).encode()) < share * 2**32:
            yield index, resized(small, size)


def resized(small: SmallMap, size: tuple[int, ...]) -> SmallMap:
    """Average a small map down to a size."""
    if tuple(small.values.shape) == size:
        return small
    values = POOLS[len(size)](small.values.float()[None, None], size)[0, 0]
    return SmallMap(values.to(torch.float16), small.low, small.high)


def fingerprint(image: Tensor) -> int:
    """Return a number that two images (C, *S) share only if all their values are equal, except by a rare chance."""
    values = image.detach().to("cpu", torch.float32).contiguous()
    return zlib.crc32(values.numpy().tobytes(), zlib.crc32(str(tuple(image.shape)).encode()))
