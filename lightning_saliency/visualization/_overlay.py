"""Maps drawn over their image in perceptually uniform colours."""

from functools import cache
from typing import Final, TypeAlias

import torch
from matplotlib import colormaps
from torch import Tensor

from lightning_saliency.passes import normalize
from lightning_saliency.passes._normalize import is_blank

SALIENCY_COLOURS: Final = "inferno"
SIGNED_COLOURS: Final = "coolwarm"
# A scale leaves out one of so many values above the lowest one: few pixels would leave all others dark.
LEFT_OUT: Final = 100
# Smaller differences from the lowest value, relative to the largest one, can come from rounding.
ROUNDING: Final = 1e-6
LEVELS: Final = 255
# Faint relevance begins at a colour that is visible on the darkened image, and its opacity rises steeply.
FIRST_COLOUR: Final = 0.25
FIRST_SIGNED_COLOUR: Final = 0.5
OPACITY: Final = 0.8
BRIGHTNESS: Final = 0.7

Limits: TypeAlias = tuple[float, float]


def overlay(image: Tensor, saliency: Tensor, limits: Limits | None = None, *, signed: bool | None = None) -> Tensor:
    """Blend a map into the darkened grey image; higher values are brighter and more opaque.

    A signed map is drawn diverging around zero, red above and blue below. The image has no colour where the map has its
    lowest value (if signed, zero) or is not finite.

    Args:
        image: Raw colours (3, H, W) in [0, 1].
        saliency: Raw map (H, W).
        limits: Lowest and highest value of the scale; values beyond are drawn as its ends. `None` takes the map's own
            scale, from its lowest value to the 99th percentile of the values above, or for a signed map to that of the
            magnitudes on both sides.
        signed: Whether the map is signed; `None` decides by whether the scale begins below zero.

    Returns:
        Picture (3, H, W) in [0, 1].

    Example:
        >>> import torch
        >>> picture = overlay(torch.zeros(3, 1, 2), torch.tensor([[0.0, 1.0]]))
        >>> picture[:, 0, 1] > picture[:, 0, 0]
        tensor([True, True, True])
    """
    if signed is None:
        signed = limits[0] < 0 if limits else is_signed(saliency)
    return blend(image, scaled(saliency, limits or limits_of(saliency, signed=signed), signed=signed), signed=signed)


def change_overlay(image: Tensor, earlier: Tensor, later: Tensor) -> Tensor:
    """Show where saliency rose (red) and fell (blue) on the darkened grey image, each map on its own scale.

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
    signed = is_signed(earlier) or is_signed(later)
    before, after = (scaled(each, limits_of(each, signed=signed), signed=signed) for each in (earlier, later))
    return blend(image, difference(before, after, signed=signed), signed=True)


def is_signed(saliency: Tensor) -> bool:
    """Tell whether a map has a finite negative value."""
    return bool(((saliency < 0) & saliency.isfinite()).any())


def limits_of(saliency: Tensor, *, signed: bool) -> Limits:
    """Return the lowest and highest value of a map's own scale; equal ones if it is constant up to rounding.

    Args:
        saliency: Raw map (*S).
        signed: Whether the scale is symmetric around zero.

    Example:
        >>> import torch
        >>> limits_of(torch.arange(101.0), signed=False)
        (0.0, 99.0)
        >>> limits_of(torch.tensor([0.0, 0.0, -5.0]), signed=True)
        (-5.0, 5.0)
    """
    values = saliency[saliency.isfinite()].double()
    if not len(values) or bool(is_blank(values[None])):
        return (0.0, 0.0)
    low = 0.0 if signed else values.min().item()
    heights = (values - low).abs()
    # Of values that differ from the lowest one: those of a sparse map may be fewer than 1 % of the pixels.
    heights = heights[heights > ROUNDING * heights.max()]
    height = heights.topk(1 + len(heights) // LEFT_OUT).values[-1].item()
    return (-height, height) if signed else (low, low + height)


def scaled(saliency: Tensor, limits: Limits, *, signed: bool) -> Tensor:
    """Bring a map to [0, 1], or to [-1, 1] if it is signed; values that are not finite become zero."""
    low, high = limits
    start, span = (0.0, max(abs(low), abs(high))) if signed else (low, high - low)
    if span <= 0:
        return torch.zeros(saliency.shape)
    values = ((saliency.double() - start) / span).clamp(-1.0 if signed else 0.0, 1.0)
    return torch.where(saliency.isfinite(), values, 0.0).float()


def difference(before: Tensor, after: Tensor, *, signed: bool) -> Tensor:
    """Subtract scaled maps so that the result lies in [-1, 1]."""
    return (after - before) / (2 if signed else 1)


def blend(image: Tensor, values: Tensor, *, signed: bool) -> Tensor:
    """Draw values in [0, 1], or in [-1, 1] if signed, over an image (3, H, W)."""
    colours, rest = _tables(signed)
    levels = (values * LEVELS).round().long() + (LEVELS if signed else 0)
    return image.mean(dim=0) * rest[levels] + colours[:, levels]


@cache
def _tables(signed: bool) -> tuple[Tensor, Tensor]:
    """Return for each level its colour times its opacity (3, L), and what remains of the image (L,)."""
    values = torch.arange(-LEVELS if signed else 0, LEVELS + 1) / LEVELS
    strengths = values.abs()
    opacity = OPACITY * strengths.sqrt()
    if signed:
        shades = (1 + values.sign() * (FIRST_SIGNED_COLOUR + (1 - FIRST_SIGNED_COLOUR) * strengths)) / 2
    else:
        shades = FIRST_COLOUR + (1 - FIRST_COLOUR) * strengths
    table = colormaps[SIGNED_COLOURS if signed else SALIENCY_COLOURS](shades.numpy())
    return torch.from_numpy(table).float()[:, :3].T * opacity, BRIGHTNESS * (1 - opacity)


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
