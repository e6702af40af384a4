"""Pictures as front-ends like to have them."""

from PIL import Image
from torch import Tensor


def as_image(picture: Tensor) -> Image.Image:
    """Turn a picture (3, H, W) uint8 into an image."""
    return Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())


def file_name(step: int) -> str:
    """Name a picture by its step, so that names sort as steps do."""
    return f"{step:09d}.png"
