"""A map laid over its image in a perceptually uniform colour map."""

from functools import cache

import torch
from matplotlib import colormaps
from torch import Tensor

from lightning_saliency.passes import normalize

COLOUR_MAP = "inferno"


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
    grey = image.mean(dim=0, keepdim=True).expand(3, -1, -1)
    opacity = 0.25 + 0.6 * strength
    return grey * (1 - opacity) + colours(strength) * opacity


def colours(strength: Tensor) -> Tensor:
    """Look values (H, W) in [0, 1] up in the colour map: (3, H, W)."""
    return _table()[(strength * 255).round().long()].permute(2, 0, 1)


@cache
def _table() -> Tensor:
    return torch.tensor(colormaps[COLOUR_MAP](range(256)), dtype=torch.float32)[:, :3]
