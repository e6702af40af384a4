"""Maps laid over their image in perceptually uniform colours."""

from functools import cache

import torch
from matplotlib import colormaps
from torch import Tensor

from lightning_saliency.passes import normalize

SALIENCY_COLOURS = "inferno"
CHANGE_COLOURS = "coolwarm"


def overlay(image: Tensor, saliency: Tensor) -> Tensor:
    """Blend a map into the greyed image, the more the higher its value.

    Args:
        image: Raw colours (3, H, W) in [0, 1].
        saliency: Raw map (H, W); drawn by its own range.

    Returns:
        Picture (3, H, W) in [0, 1].

    Example:
        >>> import torch
        >>> picture = overlay(torch.zeros(3, 1, 2), torch.tensor([[0.0, 1.0]]))
        >>> picture[:, 0, 1] > picture[:, 0, 0]
        tensor([True, True, True])
    """
    strength = normalize(saliency[None].float())[0]
    return _blend(image, strength, SALIENCY_COLOURS, 0.25 + 0.6 * strength)


def change_overlay(image: Tensor, earlier: Tensor, later: Tensor) -> Tensor:
    """Show where normalised saliency rose (red) and fell (blue) on the greyed image.

    Args:
        image: Raw colours (3, H, W) in [0, 1].
        earlier: Raw map (H, W).
        later: Raw map (H, W).

    Returns:
        Picture (3, H, W) in [0, 1].

    Example:
        >>> import torch
        >>> rise = torch.tensor([[0.0, 1.0]])
        >>> red, green, blue = change_overlay(torch.full((3, 1, 2), 0.5), 1 - rise, rise)
        >>> (red > blue).tolist()
        [[False, True]]
    """
    difference = normalize(later[None].float())[0] - normalize(earlier[None].float())[0]
    return _blend(image, (difference + 1) / 2, CHANGE_COLOURS, 0.2 + 0.7 * difference.abs())


def displayable(image: Tensor) -> Tensor:
    """Make three channels in [0, 1] of any image (C, H, W)."""
    image = image.float()
    if image.shape[0] != 3:
        image = image.mean(dim=0, keepdim=True).expand(3, -1, -1)
    if image.min() < -0.01 or image.max() > 1.01:
        image = normalize(image[None])[0]
    return image.clamp(0, 1)


def _blend(image: Tensor, values: Tensor, colour_map: str, opacity: Tensor) -> Tensor:
    grey = image.mean(dim=0, keepdim=True).expand(3, -1, -1)
    colours = _table(colour_map)[(values * 255).round().long()].permute(2, 0, 1)
    return grey * (1 - opacity) + colours * opacity


@cache
def _table(colour_map: str) -> Tensor:
    return torch.tensor(colormaps[colour_map](range(256)), dtype=torch.float32)[:, :3]
