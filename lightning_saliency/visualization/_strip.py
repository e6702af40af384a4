"""One picture of one image: the input, then its maps side by side, labelled, with a caption."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from lightning_saliency.visualization._overlay import change_overlay, displayable, overlay

SHORTEST_SIDE: Final = 160
FONT_SIZE: Final = 14
LINE_HEIGHT: Final = 18
MARGIN: Final = 6


def draw_strip(
    image: Tensor, maps: Mapping[str, Tensor], caption: Sequence[str], *, change: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Draw the input, each map laid over it by its own range, and where saliency rose and fell.

    Small images are enlarged by whole factors without smearing.

    Args:
        image: Raw colours (C, H, W); values outside [0, 1] show that their normalisation is unknown, and
            are drawn by their own range; other than 3 channels are drawn grey.
        maps: Maps (h, w) by label, enlarged to the image's size where they are smaller.
        caption: Lines of text.
        change: Earlier and later map, whose difference is drawn last.

    Returns:
        Picture (3, H', W') uint8.

    Example:
        >>> import torch
        >>> draw_strip(torch.rand(1, 8, 8), {"now": torch.rand(8, 8)}, ["image 0"]).shape
        torch.Size([3, 208, 326])
    """
    coloured = displayable(image)
    factor = -(-SHORTEST_SIDE // min(coloured.shape[1:]))
    tiles = {"input": coloured}
    tiles |= {label: overlay(coloured, _to_size(saliency, coloured)) for label, saliency in maps.items()}
    if change is not None:
        tiles["change"] = change_overlay(coloured, *(_to_size(saliency, coloured) for saliency in change))
    columns = [_labelled(label, _enlarged(tile, factor)) for label, tile in tiles.items()]
    gap = torch.full((3, columns[0].shape[1], MARGIN), 255, dtype=torch.uint8)
    spaced = [part for column in columns for part in (column, gap)][:-1]
    picture = torch.cat(spaced, dim=2)
    return torch.cat([picture, text_image(caption, picture.shape[2])], dim=1)


def text_image(lines: Sequence[str], width: int, *, margin: int = MARGIN) -> Tensor:
    """Write lines of text, black on white, (3, H', width) uint8."""
    canvas = Image.new("RGB", (width, LINE_HEIGHT * len(lines) + 2 * margin), "white")
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=FONT_SIZE)
    for number, line in enumerate(lines):
        draw.text((MARGIN, margin + number * LINE_HEIGHT), line, fill="black", font=font)
    return torch.from_numpy(np.array(canvas)).permute(2, 0, 1)


def _labelled(label: str, tile: Tensor) -> Tensor:
    return torch.cat([text_image([label], tile.shape[2], margin=0), tile], dim=1)


def _enlarged(tile: Tensor, factor: int) -> Tensor:
    whole = (tile * 255).round().to(torch.uint8)
    return whole.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)


def _to_size(saliency: Tensor, image: Tensor) -> Tensor:
    saliency = saliency.float()
    if saliency.shape == image.shape[1:]:
        return saliency
    size = (image.shape[1], image.shape[2])
    return functional.interpolate(saliency[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
