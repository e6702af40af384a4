"""Regions of images, as masks that broadcast to (B, C, *S)."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

from lightning_saliency._exact import exact
from lightning_saliency._types import Maps
from lightning_saliency.passes.ranking import descending_order

GRID: Final = 4
RELEVANT_SHARE: Final = 0.4


def box_mask(corners: Tensor, sizes: Sequence[int], space: Sequence[int]) -> Tensor:
    """Mark boxes of one size, (B, 1, *S), whose lowest corners are (B, D)."""
    mask = corners.new_ones((len(corners), 1, *[1] * len(space)), dtype=torch.bool)
    for dimension, (size, side) in enumerate(zip(sizes, space, strict=True)):
        places = torch.arange(side, device=corners.device)
        start = corners[:, dimension, None]
        inside = (places >= start) & (places < start + size)
        shape = [len(corners), *[1] * (len(space) + 1)]
        shape[2 + dimension] = side
        mask = mask & inside.reshape(shape)
    return mask


def frame_mask(space: Sequence[int], share: float, device: torch.device) -> Tensor:
    """Mark the positions at most a share of the side away from the border, (1, 1, *S); at least one pixel."""
    widths = [max(1, round(side * share)) for side in space]
    inner = torch.tensor([widths], device=device)
    return ~box_mask(inner, [side - 2 * width for side, width in zip(space, widths, strict=True)], space)


def cell_mask(cell: Sequence[int], space: Sequence[int], device: torch.device) -> Tensor:
    """Mark a cell of the grid of 4 x 4, (1, 1, *S)."""
    starts = [round(side * place / GRID) for place, side in zip(cell, space, strict=True)]
    ends = [round(side * (place + 1) / GRID) for place, side in zip(cell, space, strict=True)]
    sizes = [end - start for start, end in zip(starts, ends, strict=True)]
    return box_mask(torch.tensor([starts], device=device), sizes, space)


class Boxes(NamedTuple):
    """The most relevant box of each image."""

    corners: Tensor
    sizes: Sequence[int]
    sums: Tensor


def window_of(maps: Maps) -> Boxes:
    """Find the squares of 1/16 of a picture's area with the largest sum of relevance."""
    return most_relevant(maps, [max(1, round(side / GRID)) for side in maps.shape[1:]])


def most_relevant(maps: Maps, sizes: Sequence[int]) -> Boxes:
    """Find the boxes of some size with the largest sum of relevance: their lowest corners (B, D) and sums (B,)."""
    sums = exact(maps)
    for dimension, size in enumerate(sizes, start=1):
        running = torch.cat([torch.zeros_like(sums.narrow(dimension, 0, 1)), sums.cumsum(dimension)], dim=dimension)
        count = sums.shape[dimension] - size + 1
        sums = running.narrow(dimension, size, count) - running.narrow(dimension, 0, count)
    most, places = sums.flatten(1).max(dim=1)
    return Boxes(torch.stack(torch.unravel_index(places, sums.shape[1:]), dim=1), sizes, most)


def irrelevant_mask(maps: Maps) -> Tensor:
    """Mark everything outside the most relevant 40 % of the positions, (B, 1, *S)."""
    relevant = descending_order(maps)[:, : math.ceil(RELEVANT_SHARE * maps[0].numel())]
    mask = torch.ones(len(maps), maps[0].numel(), dtype=torch.bool, device=maps.device)
    return mask.scatter_(1, relevant, False).reshape(maps.shape)[:, None]


def rolled(images: Tensor, shifts: Tensor) -> Tensor:
    """Roll each image (B, C, *S) by its whole numbers of pixels, (B, D)."""
    for dimension in range(2, images.ndim):
        side = images.shape[dimension]
        sources = (torch.arange(side, device=images.device) - shifts[:, dimension - 2, None]) % side
        shape = [len(images), *[1] * (images.ndim - 1)]
        shape[dimension] = side
        images = images.take_along_dim(sources.reshape(shape), dim=dimension)
    return images
