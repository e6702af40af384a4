"""Noise in units of each image's own range."""

from torch import Tensor

from lightning_saliency._random import keyed_normal
from lightning_saliency._types import Images, per_image


def ranged(draw: Tensor, images: Images, level: float) -> Tensor:
    """Scale one draw (C, *S) for every image by `level` times the image's range (maximum - minimum).

    Args:
        draw: One draw for all images, so that a result does not depend on an image's neighbours.
        images: Images (B, C, *S).
        level: Size of the noise in units of the range.

    Returns:
        Noise (B, C, *S) to be added to the images.

    Example:
        >>> import torch
        >>> ranged(torch.ones(1, 2), torch.tensor([[[0.0, 4.0]], [[1.0, 1.0]]]), 0.5)
        tensor([[[2., 2.]],
        <BLANKLINE>
                [[0., 0.]]])
    """
    flat = images.flatten(1)
    spread = flat.amax(dim=1) - flat.amin(dim=1)
    return per_image(level * spread, images) * draw.to(images)


def noise_like(images: Images, noise_level: float, seed: int, step: int) -> Tensor:
    """Draw Gaussian noise once for all images, of standard deviation `noise_level` times each one's own range."""
    return ranged(keyed_normal(images.shape[1:], "noise", seed, step), images, noise_level)
