"""Gaussian blur of tensors with any number of spatial dimensions."""

from torch import Tensor, arange
from torch.nn import functional

from lightning_saliency._types import Images

TRUNCATE = 4.0


def gaussian_blur(images: Images, sigma: float, *, radius: int | None = None) -> Images:
    """Blur images (B, C, *S) along every spatial dimension.

    Borders are mirrored (edge pixel included), which keeps each channel's mean and works for any size.

    Args:
        images: Images (B, C, *S).
        sigma: Standard deviation of the kernel in pixels; 0 changes nothing.
        radius: Reach of the kernel in pixels; `None` cuts it at four standard deviations.

    Returns:
        Images of the same shape.

    Example:
        >>> import torch
        >>> gaussian_blur(torch.tensor([[[0.0, 0.0, 1.0, 0.0, 0.0]]]), 1e3, radius=1)
        tensor([[[0.0000, 0.3333, 0.3333, 0.3333, 0.0000]]])
    """
    reach = int(TRUNCATE * sigma + 0.5) if radius is None else radius
    if sigma == 0 or reach == 0:
        return images
    offsets = arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = (-0.5 * (offsets / sigma).square()).exp()
    blurred = images
    for dimension in range(2, images.ndim):
        blurred = _blur_along(blurred, dimension, kernel / kernel.sum())
    return blurred


def _blur_along(images: Tensor, dimension: int, kernel: Tensor) -> Tensor:
    size, reach = images.shape[dimension], len(kernel) // 2
    places = arange(-reach, size + reach, device=images.device) % (2 * size)
    mirrored = images.movedim(dimension, -1)[..., places.minimum(2 * size - 1 - places)]
    lines = mirrored.reshape(-1, 1, size + 2 * reach)
    return functional.conv1d(lines, kernel[None, None]).reshape(*mirrored.shape[:-1], size).movedim(-1, dimension)
