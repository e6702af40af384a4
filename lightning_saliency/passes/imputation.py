"""Fill missing pixels from their neighbours, so that a mask leaves no edge that a model could read."""

from typing import Final

import torch
from torch import Tensor

from lightning_saliency._types import Images, Masks
from lightning_saliency.passes.multigrid import Multigrid

# Error that is left, in the norm of the equations and relative to the filling by the mean: in images of ImageNet at
# most a ten-thousandth of an image's range in any pixel.
TOLERANCE: Final = 1e-5
# How often a device is asked whether all have stopped: it has to be waited for, and further steps change nothing.
BETWEEN_READS: Final = 4
# More values do not fit into a CPU's caches.
VALUES_TOGETHER: Final = 2**18


def impute(images: Images, missing: Masks) -> Images:
    """Make every missing pixel the weighted mean of its neighbours, which may be missing too.

    Direct neighbours weigh twice as much as diagonal ones; outside the image there are none. The linear
    system is solved for all images at once by conjugate gradients on corrections from coarser grids, each image and
    channel stopping on its own, so that no image feels its neighbours in the batch.

    Args:
        images: Images (B, C, *S).
        missing: Missing positions (B, *S); at least one position of each image is there.

    Returns:
        Images of the same shape.
    """
    exact = images if images.dtype == torch.float64 else images.float()
    together = len(images)
    if images.device.type == "cpu":
        together = max(1, VALUES_TOGETHER // max(1, images[:1].numel()))
    parts = zip(exact.split(together), missing[:, None].split(together), strict=True)
    return torch.cat([_fill(*part) for part in parts]).to(images.dtype)


def _fill(images: Images, missing: Tensor) -> Images:
    grid = Multigrid(missing.to(images), images.shape[1])
    filled = torch.where(missing, _mean(images, ~missing), images)
    residual = grid.apply(filled).neg()
    direction = grid.solve(residual).clone()
    energy = _products(residual, direction)
    enough = TOLERANCE**2 * energy
    between = 1 if images.device.type == "cpu" else BETWEEN_READS
    for count in range(sum(images.shape[2:]) + 50):
        running = energy > enough
        if count % between == 0 and not bool(running.any()):
            break
        image_of = grid.apply(direction)
        step = torch.where(running, energy / _products(direction, image_of), 0.0)
        filled.addcmul_(step, direction)
        residual.addcmul_(step, image_of, value=-1)
        correction = grid.solve(residual)
        left = _products(residual, correction)
        direction.mul_(torch.where(running, left / energy, 0.0)).add_(correction)
        energy = torch.where(running, left, energy)
    return filled


def _mean(images: Images, visible: Tensor) -> Tensor:
    """Return the mean of the visible positions of each image and channel, (B, C, 1, ...)."""
    space = tuple(range(2, images.ndim))
    weights = visible.to(images)
    return (images * weights).sum(dim=space, keepdim=True) / weights.sum(dim=space, keepdim=True).clamp(min=1)


def _products(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return the inner product of each image and channel, (B, C, 1, ...)."""
    products: Tensor = torch.linalg.vecdot(ours.flatten(2), theirs.flatten(2))
    return products.reshape(*ours.shape[:2], *[1] * (ours.ndim - 2))
