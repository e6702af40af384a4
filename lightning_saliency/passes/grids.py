"""Lay outputs of layers out as grids of positions, whatever their own order is."""

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from lightning_saliency._types import Activations, Images

MOST_PREFIX_TOKENS: Final = 16


def as_grid(output: Tensor, images: Images) -> Activations:
    """Lay a layer's output or its gradient out as (B, C, *grid), whatever its own order is.

    The order may be channels first, channels last, or tokens of shape (B, N, C) whose class and register tokens
    come before the patches.
    """
    spatial = images.shape[2:]
    if _matches(output.shape[2:], spatial):
        return output
    if _matches_last(output, spatial):
        return output.movedim(-1, 1)
    grid = _token_grid(output, spatial)
    if grid is None:
        raise ValueError(
            f"Expected a layer whose output has positions of an image of size {tuple(spatial)}, "
            f"but got an output of shape {tuple(output.shape)}: name another layer."
        )
    patches = output[:, output.shape[1] - math.prod(grid) :]
    return patches.transpose(1, 2).reshape(output.shape[0], output.shape[2], *grid)


def has_grid(output: Tensor, images: Images) -> bool:
    """Whether an output has a row for each image, and positions."""
    spatial = images.shape[2:]
    is_grid = _matches(output.shape[2:], spatial) or _matches_last(output, spatial)
    return len(output) == len(images) and (is_grid or is_token_grid(output, images)) if output.ndim else False


def has_tokens_first(output: Tensor, images: Images) -> bool:
    """Whether an output is (N, B, C), which cannot be told from (B, N, C) where N is B."""
    if output.ndim != 3 or len(output) == len(images):
        return False
    return has_grid(output.transpose(0, 1), images)


def is_token_grid(output: Tensor, images: Images) -> bool:
    """Whether an output is (B, N, C) with N tokens, the last of which are patches of an image."""
    spatial = images.shape[2:]
    if _matches(output.shape[2:], spatial) or _matches_last(output, spatial):
        return False
    return _token_grid(output, spatial) is not None


def channels_last(output: Tensor, images: Images) -> bool:
    """Whether the channels of a layer's output, as the layer made it, come after its positions."""
    return not _matches(output.shape[2:], images.shape[2:])


def _matches(grid: torch.Size, spatial: torch.Size) -> bool:
    """Whether a grid has more than one position and the image's proportions, up to rounding.

    Frames of a video and slices of a volume may have a stride of their own.
    """
    if len(grid) != len(spatial) or math.prod(grid) <= 1:
        return False
    if len(spatial) == 3:
        return grid[0] <= spatial[0] and _are_proportional(grid[1:], spatial[1:])
    return _are_proportional(grid, spatial)


def _are_proportional(grid: Sequence[int], spatial: Sequence[int]) -> bool:
    return all(abs(size - grid[0] * full / spatial[0]) <= 1 for size, full in zip(grid, spatial, strict=True))


def _matches_last(output: Tensor, spatial: torch.Size) -> bool:
    """Whether an output has positions before its features; a single feature would be a pooled (B, C, 1...)."""
    return output.ndim > 1 and output.shape[-1] > 1 and _matches(output.shape[1:-1], spatial)


def _token_grid(output: Tensor, spatial: torch.Size) -> tuple[int, int] | None:
    if output.ndim != 3 or len(spatial) != 2:
        return None
    height, width = spatial
    tokens = output.shape[1]
    for patches in range(tokens, max(tokens - MOST_PREFIX_TOKENS, 2) - 1, -1):
        rows = math.isqrt(patches * height // width)
        for row in (rows, rows + 1):
            if row and patches % row == 0 and patches * height == row * row * width:
                return row, patches // row
    return None
