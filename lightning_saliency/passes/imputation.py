"""Fill missing pixels from their neighbours, so that a mask leaves no edge that a model could read."""

from typing import Final

import torch
from torch import Tensor

from lightning_saliency._types import Images, Masks

TOLERANCE: Final = 1e-6
# How often it is asked whether all have stopped: a GPU has to wait for the answer, and further steps change nothing.
BETWEEN_READS: Final = 8


def impute(images: Images, missing: Masks) -> Images:
    """Make every missing pixel the weighted mean of its neighbours, which may be missing too.

    Direct neighbours weigh twice as much as diagonal ones; outside the image there are none. The linear
    system is solved for all images at once by conjugate gradients, each image and channel stopping on
    its own, so that no image feels its neighbours in the batch.

    Args:
        images: Images (B, C, *S).
        missing: Missing positions (B, *S); at least one position of each image is there.

    Returns:
        Images of the same shape.
    """
    space = tuple(range(2, images.ndim))
    unknown = missing[:, None].to(images)
    degree = _neighbours(torch.ones_like(unknown))
    mean = (images * (1 - unknown)).sum(dim=space, keepdim=True) / (1 - unknown).sum(dim=space, keepdim=True).clamp(
        min=1
    )
    filled = torch.where(missing[:, None], mean, images)
    residual = unknown * (_neighbours(filled) - degree * filled)
    direction, energy = residual, residual.square().sum(dim=space, keepdim=True)
    enough = TOLERANCE**2 * energy
    for count in range(4 * sum(images.shape[2:]) + 50):
        running = energy > enough
        if count % BETWEEN_READS == 0 and not bool(running.any()):
            break
        image_of = unknown * (degree * direction - _neighbours(direction))
        curvature = (direction * image_of).sum(dim=space, keepdim=True)
        step = torch.where(running & (curvature > 0), energy / curvature, 0.0)
        filled, residual = filled + step * direction, residual - step * image_of
        left = residual.square().sum(dim=space, keepdim=True)
        direction = torch.where(running, residual + left / energy * direction, direction)
        energy = torch.where(running, left, energy)
    return filled


def _neighbours(images: Tensor) -> Tensor:
    """Sum the neighbours' values with weight 1/2 for each step away along a dimension."""
    spread = images
    for dimension in range(2, images.ndim):
        size = images.shape[dimension]
        wider = spread.clone()
        wider.narrow(dimension, 1, size - 1).add_(spread.narrow(dimension, 0, size - 1), alpha=0.5)
        wider.narrow(dimension, 0, size - 1).add_(spread.narrow(dimension, 1, size - 1), alpha=0.5)
        spread = wider
    return spread - images
