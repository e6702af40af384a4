"""Perturbations that are drawn once by seed and are the same for every image."""

from typing import Final

import torch

from lightning_saliency._random import keyed_generator
from lightning_saliency._types import Masks

LARGEST_SIDE: Final = 10 / 28


def draw_squares(num_samples: int, size: tuple[int, ...], seed: int) -> Masks:
    """Draw squares of random side and place, (num_samples, *S); the same draws for every size."""
    draws = torch.rand(num_samples, 1 + len(size), generator=keyed_generator("squares", seed), dtype=torch.float64)
    sides = 1 + (draws[:, 0] * max(1, round(LARGEST_SIDE * min(size)))).long()
    squares = torch.ones(num_samples, *size, dtype=torch.bool)
    for axis, length in enumerate(size):
        first = (draws[:, 1 + axis] * (length - sides + 1)).long()[:, None]
        places = torch.arange(length)[None]
        inside = (places >= first) & (places < first + sides[:, None])
        squares &= inside.reshape(num_samples, *[length if axis == other else 1 for other in range(len(size))])
    return squares
