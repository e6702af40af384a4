"""One picture of one image: the input beside its overlay, with a caption."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lightning_saliency.passes import normalize
from lightning_saliency.visualization._overlay import overlay

SHORTEST_SIDE: Final = 160
FONT_SIZE: Final = 14
LINE_HEIGHT: Final = 18
MARGIN: Final = 6


def draw_panel(image: Tensor, saliency: Tensor, caption: Sequence[str]) -> Tensor:
    """Draw the input beside the map laid over it, above lines of text.

    Small images are enlarged by whole factors without smearing.

    Args:
        image: Raw colours (C, H, W); values outside [0, 1] show that their normalisation is unknown, and
            are drawn by their own range; other than 3 channels are drawn grey.
        saliency: Raw map (H, W).
        caption: Lines of text.

    Returns:
        Picture (3, H', W') uint8.

    Example:
        >>> import torch
        >>> draw_panel(torch.rand(1, 8, 8), torch.rand(8, 8), ["image 0"]).shape
        torch.Size([3, 190, 326])
    """
    coloured = _displayable(image)
    factor = -(-SHORTEST_SIDE // min(coloured.shape[1:]))
    tiles = [_enlarge(tile, factor) for tile in (coloured, overlay(coloured, saliency))]
    gap = torch.ones(3, tiles[0].shape[1], MARGIN)
    picture = (torch.cat([tiles[0], gap, tiles[1]], dim=2) * 255).round().to(torch.uint8)
    return torch.cat([picture, _text(caption, picture.shape[2])], dim=1)


def _displayable(image: Tensor) -> Tensor:
    image = image.float()
    if image.shape[0] != 3:
        image = image.mean(dim=0, keepdim=True).expand(3, -1, -1)
    if image.min() < -0.01 or image.max() > 1.01:
        image = normalize(image[None])[0]
    return image.clamp(0, 1)


def _enlarge(tile: Tensor, factor: int) -> Tensor:
    return tile.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)


def _text(lines: Sequence[str], width: int) -> Tensor:
    canvas = Image.new("RGB", (width, LINE_HEIGHT * len(lines) + 2 * MARGIN), "white")
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=FONT_SIZE)
    for number, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + number * LINE_HEIGHT), line, fill="black", font=font)
    return torch.from_numpy(np.array(canvas)).permute(2, 0, 1)
