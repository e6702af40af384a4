"""Pictures in the form that front-ends take."""

from PIL import Image
from torch import Tensor


def as_image(picture: Tensor) -> Image.Image:
    """Turn a picture (3, H, W) uint8 into an image."""
    return Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())


def file_name(step: int) -> str:
    """Name a picture by its step; names sort in the order of steps."""
    return f"{step:09d}.png"
