"""Pictures in the form that front-ends take."""

import zlib
from io import BytesIO
from typing import Final

from PIL import Image
from torch import Tensor

# Runs of equal bytes: takes less than half the time of the default, for files that are 3 to 17 % larger.
COMPRESSION: Final = {"compress_type": zlib.Z_RLE}


def as_image(picture: Tensor) -> Image.Image:
    """Turn a picture (3, H, W) uint8 into an image."""
    return Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())


def as_png(picture: Tensor) -> bytes:
    """Encode a picture (3, H, W) uint8 as PNG."""
    buffer = BytesIO()
    as_image(picture).save(buffer, format="png", **COMPRESSION)
    return buffer.getvalue()


def file_name(step: int) -> str:
    """Name a picture by its step; names sort in the order of steps."""
    return f"{step:09d}.png"
