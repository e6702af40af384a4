"""One picture of one image: the input, then its maps side by side, labelled, with a caption."""

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from lightning_saliency.visualization._overlay import (
    Limits,
    blend,
    difference,
    displayable,
    is_signed,
    limits_of,
    scaled,
)
from lightning_saliency.visualization._text import label_image, text_image

SHORTEST_SIDE: Final = 160
LONGEST_SIDE: Final = 320
# Front-ends shrink a strip, in which thinner lines of a map would vanish.
MOST_POSITIONS: Final = 112
SMALLEST_FONT: Final = 14
FONTS_PER_WIDTH: Final = 40
GAP: Final = 10


def draw_strip(
    image: Tensor,
    maps: Mapping[str, Tensor],
    caption: Sequence[str],
    *,
    change: tuple[Tensor, Tensor] | None = None,
    limits: Limits | None = None,
) -> Tensor:
    """Draw the input, each map over it, and where saliency rose and fell; the last line states the scale.

    Small images are enlarged by integer factors without interpolation. Large ones are shrunk until their longer side
    is 320. Maps are averaged to at most 112 positions a side. Letters grow with the strip, because front-ends shrink it
    to the available width.

    Args:
        image: Raw colours (C, H, W); an image with values outside [0, 1] is drawn by its range, since its
            normalisation is unknown; images without 3 channels are drawn grey.
        maps: Maps (h, w) by label, resized to the image's size.
        caption: Lines of text.
        change: Earlier and later map, whose difference is drawn last.
        limits: Scale that all maps share; `None` draws each on its own, which reaches up to the 99th percentile of the
            values above the lowest one.

    Returns:
        Picture (3, H', W') uint8.

    Example:
        >>> import torch
        >>> draw_strip(torch.rand(1, 8, 8), {"now": torch.rand(8, 8)}, ["image 0"]).shape
        torch.Size([3, 246, 330])
    """
    coloured = shrunk(displayable(image))
    factor = -(-SHORTEST_SIDE // min(coloured.shape[1:]))
    signed = limits[0] < 0 if limits else any(map(is_signed, maps.values()))
    tiles = {"input": coloured}
    for label, saliency in maps.items():
        tiles[label] = blend(coloured, _fitted(saliency, coloured, limits, signed=signed), signed=signed)
    if change is not None:
        both = any(map(is_signed, change))
        before, after = (_fitted(saliency, coloured, None, signed=both) for saliency in change)
        tiles["change"] = blend(coloured, difference(before, after, signed=both), signed=True)
    width = len(tiles) * coloured.shape[2] * factor + (len(tiles) - 1) * GAP
    font_size = max(SMALLEST_FONT, width // FONTS_PER_WIDTH)
    columns = [_labelled(label, enlarged(tile, factor), font_size) for label, tile in tiles.items()]
    gap = torch.full((3, columns[0].shape[1], GAP), 255, dtype=torch.uint8)
    picture = torch.cat([part for column in columns for part in (column, gap)][:-1], dim=2)
    lines = [*caption, _scale_line(limits, signed=signed)]
    return torch.cat([picture, text_image(lines, width, font_size)], dim=1)


def _fitted(saliency: Tensor, image: Tensor, limits: Limits | None, *, signed: bool) -> Tensor:
    """Scale a map and resize it to an image; its own scale is that of the positions that are drawn."""
    saliency = pooled(saliency)
    return to_size(scaled(saliency, limits or limits_of(saliency, signed=signed), signed=signed), image)


def pooled(saliency: Tensor) -> Tensor:
    """Average a map (h, w) to at most 112 positions a side."""
    share = MOST_POSITIONS / max(saliency.shape)
    if share >= 1:
        return saliency.float()
    size = (max(1, round(saliency.shape[0] * share)), max(1, round(saliency.shape[1] * share)))
    return functional.adaptive_avg_pool2d(saliency.float()[None], size)[0]


def _scale_line(limits: Limits | None, *, signed: bool) -> str:
    colours = "red above, blue below zero" if signed else "brighter is more"
    if limits:
        return f"scale: {limits[0]:.3g} to {limits[1]:.3g} in all of this method's pictures of this step, {colours}"
    return f"scale: each map's own, up to its 99th percentile, {colours}"


def _labelled(label: str, tile: Tensor, font_size: int) -> Tensor:
    return torch.cat([label_image(label, tile.shape[2], font_size), tile], dim=1)


def shrunk(image: Tensor) -> Tensor:
    """Shrink a large image (C, H, W)."""
    scale = LONGEST_SIDE / max(image.shape[1:])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[2] * scale)))
    return functional.interpolate(image[None], size=size, mode="bilinear", antialias=True)[0]


def enlarged(tile: Tensor, factor: int) -> Tensor:
    """Enlarge a small image (C, H, W) without interpolation, to uint8."""
    pixels = (tile * 255).round().to(torch.uint8)
    return pixels.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)


def to_size(saliency: Tensor, image: Tensor, mode: str = "bilinear") -> Tensor:
    """Resize a map (h, w) to the size of an image (C, H, W)."""
    saliency = saliency.float()
    if saliency.shape == image.shape[1:]:
        return saliency
    size = (image.shape[1], image.shape[2])
    align_corners = False if mode == "bilinear" else None
    return functional.interpolate(saliency[None, None], size=size, mode=mode, align_corners=align_corners)[0, 0]
