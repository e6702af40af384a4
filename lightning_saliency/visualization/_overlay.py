"""Maps drawn over their image in perceptually uniform colours."""

from functools import cache
from typing import Final

import torch
from matplotlib import colormaps
from torch import Tensor

from lightning_saliency.passes import normalize
from lightning_saliency.passes._normalize import flattened

SALIENCY_COLOURS: Final = "inferno"
SIGNED_COLOURS: Final = "coolwarm"


def overlay(
    image: Tensor, saliency: Tensor, limits: tuple[float, float] | None = None, *, signed: bool | None = None
) -> Tensor:
    """Blend a map into the grey image; higher values are more opaque.

    A signed map is drawn diverging around zero, red above and blue below.

    Args:
        image: Raw colours (3, H, W) in [0, 1].
        saliency: Raw map (H, W).
        limits: Lowest and highest value of the scale; `None` takes the map's own range.
        signed: Whether the map is signed; `None` decides by whether the scale begins below zero.

    Returns:
        Picture (3, H, W) in [0, 1].

    Example:
        >>> import torch
        >>> picture = overlay(torch.zeros(3, 1, 2), torch.tensor([[0.0, 1.0]]))
        >>> picture[:, 0, 1] > picture[:, 0, 0]
        tensor([True, True, True])
    """
    saliency = flattened(saliency[None].float())[0]
    low, high = limits or (saliency.min().item(), saliency.max().item())
    if signed or (signed is None and low < 0):
        return _diverging(image, _over(saliency, max(abs(low), abs(high))))
    strength = _over(saliency - low, high - low)
    return _blend(image, strength, SALIENCY_COLOURS, 0.25 + 0.6 * strength)


def change_overlay(image: Tensor, earlier: Tensor, later: Tensor) -> Tensor:
    """Show where normalised saliency rose (red) and fell (blue) on the grey image.

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
    return _diverging(image, normalize(later[None].float())[0] - normalize(earlier[None].float())[0])


def displayable(image: Tensor) -> Tensor:
    """Make three channels in [0, 1] of any image (C, H, W).

    Args:
        image: Image with any number of channels, normalised or not.

    Returns:
        Picture (3, H, W) in [0, 1].

    Raises:
        TypeError: If it is not a tensor of three dimensions.

    Example:
        >>> import torch
        >>> displayable(torch.tensor([[[-1.0, 3.0]]]))[0]
        tensor([[0., 1.]])
    """
    if not isinstance(image, Tensor) or image.ndim != 3 or image.is_complex() or not image.numel():
        got = f"shape {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        raise TypeError(f"`image` must be a tensor (C, H, W) of real numbers, but got {got}.  Pass one image.")
    image = image.float()
    if image.shape[0] != 3:
        image = image.mean(dim=0, keepdim=True).expand(3, -1, -1)
    if image.min() < -0.01 or image.max() > 1.01:
        image = normalize(image[None])[0]
    return image.clamp(0, 1)


def _over(values: Tensor, span: float) -> Tensor:
    """Divide by the span of the scale; a constant map becomes zero everywhere."""
    return (values / span).clamp(-1, 1) if span > 0 else torch.zeros_like(values)


def _diverging(image: Tensor, values: Tensor) -> Tensor:
    """Draw values in [-1, 1]; larger magnitudes are more opaque."""
    return _blend(image, (values + 1) / 2, SIGNED_COLOURS, 0.2 + 0.7 * values.abs())


def _blend(image: Tensor, values: Tensor, colour_map: str, opacity: Tensor) -> Tensor:
    grey = image.mean(dim=0, keepdim=True).expand(3, -1, -1)
    colours = _table(colour_map)[(values.clamp(0, 1) * 255).round().long()].permute(2, 0, 1)
    return grey * (1 - opacity) + colours * opacity


@cache
def _table(colour_map: str) -> Tensor:
    return torch.tensor(colormaps[colour_map](range(256)), dtype=torch.float32)[:, :3]
