"""Lines of text as pictures."""

import textwrap
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

LINE_PER_FONT: Final = 1.3


def text_image(lines: Sequence[str], width: int, font_size: int) -> Tensor:
    """Write lines of text, wrapped to a width, black on white, (3, H', width) uint8."""
    font = font_of(font_size)
    height = round(LINE_PER_FONT * font_size)
    columns = max(1, int(width / font.getlength("n")))
    wrapped = [part for line in lines for part in textwrap.wrap(line, columns)]
    canvas = Image.new("RGB", (width, height * len(wrapped) + font_size // 2), "white")
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(wrapped):
        draw.text((0, number * height), line, fill="black", font=font)
    return torch.from_numpy(np.array(canvas)).permute(2, 0, 1)


# All strips of an evaluation have the same labels.
@lru_cache(maxsize=64)
def label_image(label: str, width: int, font_size: int) -> Tensor:
    """Write the label of a tile, (3, H', width) uint8; the picture must not be changed."""
    return text_image([label], width, font_size)


@lru_cache(maxsize=16)
def font_of(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font."""
    return ImageFont.load_default(size)
