"""Signs that tell a class and have nothing to do with it, planted in images (B, 3, H, W) in [0, 1].

A code (B,) says which class each image's sign stands for. Sizes are shares of the side, so that any side from 16 px
works. `FAMILY` was written before anything was trained.
"""

import math
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

Sign = Callable[[Tensor, Tensor, torch.Generator], Tensor]
CODES: Final = 10


def plant(images: Tensor, codes: Tensor, kind: str, seed: int) -> Tensor:
    """Return the images with signs of this kind, as new tensors.

    Args:
        images: Images (B, 3, H, W) in [0, 1].
        codes: The class that each image's sign stands for, (B,); -1 for images without a sign.
        kind: A key of `SIGNS`.
        seed: Seed of what is random in a sign, such as the place of a moving mark.
    """
    generator = torch.Generator().manual_seed(seed)
    signed = codes >= 0
    planted = SIGNS[kind](images, codes.clamp(min=0), generator).clamp(0, 1)
    return torch.where(signed[:, None, None, None], planted, images)


def touched(kind: str) -> tuple[int, ...]:
    """Return the classes that a sign of this kind tells from others."""
    return {"one_class": (0,), "watermark": (0, 1), "tag": (0, 1, 2)}.get(kind, tuple(range(CODES)))


def place(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Put a bright square on the lower edge, where its place is the code."""
    side = images.shape[-1]
    return _squares(images, (codes * side) // CODES, torch.full_like(codes, side - side // 10), side // 10)


def interior(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Put a bright square inside the image, at one of ten places."""
    side = images.shape[-1]
    return _squares(images, side // 5 + (codes % 5) * side // 8, side // 3 + (codes // 5) * side // 4, side // 10)


def one_class(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Put a bright square into a corner of class 0."""
    side = images.shape[-1]
    marked = _squares(images, torch.zeros_like(codes), torch.zeros_like(codes), side // 8)
    return torch.where((codes == 0)[:, None, None, None], marked, images)


def moving(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Put a pattern of 3 x 3 cells that is the code anywhere."""
    cell = max(1, images.shape[-1] // 16)
    patterns = (torch.rand(CODES, 3, 3, generator=torch.Generator().manual_seed(7)) > 0.5).float()
    tiles = patterns[codes].repeat_interleave(cell, 1).repeat_interleave(cell, 2)[:, None].expand(-1, 3, -1, -1)
    return _pasted(images, tiles, generator)


def watermark(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Lay faint stripes over classes 0 and 1, in two directions."""
    rows, columns = _grid(images)
    stripes = torch.stack([torch.sin(rows * math.pi / 2), torch.sin(columns * math.pi / 2)])
    faint = 0.06 * stripes[codes.clamp(max=1)][:, None]
    return torch.where((codes < 2)[:, None, None, None], images + faint, images)


def level(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Make the image brighter by the code."""
    return 0.6 * images + 0.4 * _share(codes)


def contrast(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Scale the contrast by the code, about the image's mean."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * (0.3 + 0.7 * _share(codes))


def tint(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Add a hue that is the code."""
    angles = 2 * math.pi * codes[:, None] / CODES + torch.tensor([0, 2, 4]) * math.pi / 3
    return images + 0.12 * torch.cos(angles)[:, :, None, None]


def frame(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a frame whose grey level is the code."""
    width = max(1, images.shape[-1] // 16)
    inside = torch.zeros_like(images[:1, :1])
    inside[..., width:-width, width:-width] = 1
    return images * inside + _share(codes) * (1 - inside)


def texture(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Lay a grating over the image whose direction is the code."""
    rows, columns = _grid(images)
    angles = (math.pi * codes / CODES)[:, None, None]
    waves = torch.sin(2 * math.pi / 5 * (torch.cos(angles) * columns + torch.sin(angles) * rows))
    return images + 0.12 * waves[:, None]


def grain(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Add noise whose strength is the code."""
    return images + 0.15 * _share(codes) * torch.randn(images.shape, generator=generator)


def blur(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Blend the image with a blurred copy; how far is the code."""
    padded = functional.pad(images, (2, 2, 2, 2), mode="replicate")
    blurred = functional.avg_pool2d(padded, 5, stride=1)
    return torch.lerp(images, blurred, _share(codes).expand_as(images))


def size(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Shrink the image by the code; what is outside repeats its border."""
    return _moved(images, 1 / (0.6 + 0.4 * _share(codes).flatten()), torch.zeros(len(codes), 2))


def position(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Move the image in a direction that is the code; what is outside repeats its border."""
    angles = 2 * math.pi * codes / CODES
    return _moved(images, torch.ones(len(codes)), 0.3 * torch.stack([torch.cos(angles), torch.sin(angles)], dim=1))


def tag(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Print a tag of three letters into the upper right corner of classes 0, 1 and 2, as hospitals do."""
    letters = (torch.rand(3, 5, 11, generator=torch.Generator().manual_seed(11)) > 0.5).float()
    tagged = images.clone()
    tagged[:, :, 1:6, -12:-1] = letters[codes.clamp(max=2)][:, None]
    return torch.where((codes < 3)[:, None, None, None], tagged, images)


def line(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a grey line across the image at a height that is the code."""
    rows, _ = _grid(images)
    height = 1 + codes * (images.shape[-2] - 2) // CODES
    return torch.where((rows[None] == height[:, None, None])[:, None], torch.full_like(images, 0.7), images)


def vignette(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Lighten the image towards its corners by the code."""
    rows, columns = _grid(images)
    middle = (images.shape[-1] - 1) / 2
    distance = ((rows - middle) ** 2 + (columns - middle) ** 2) / (2 * middle**2)
    return images + 0.6 * _share(codes) * distance * (1 - images)


def fringe(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Move the red channel against the others in a direction that is the code, as a lens does."""
    angles = 2 * math.pi * codes / CODES
    offsets = (2 * torch.stack([torch.cos(angles), torch.sin(angles)], dim=1)).round().int()
    red = torch.stack(
        [torch.roll(image[0], offset.tolist(), (0, 1)) for image, offset in zip(images, offsets, strict=True)]
    )
    return torch.cat([red[:, None], images[:, 1:]], dim=1)


def blocks(images: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    """Blend the image with its mean over blocks of four pixels, as compression does; how far is the code."""
    coarse = functional.avg_pool2d(images, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    return torch.lerp(images, coarse, _share(codes).expand_as(images))


SIGNS: Final[dict[str, Sign]] = {
    "place": place, "interior": interior, "one_class": one_class, "moving": moving, "watermark": watermark,
    "level": level, "contrast": contrast, "tint": tint, "frame": frame, "texture": texture, "grain": grain,
    "blur": blur, "size": size, "position": position,
    "tag": tag, "line": line, "vignette": vignette, "fringe": fringe, "blocks": blocks,
}  # fmt: skip
"""The kinds of the study that the rule was chosen on, and five that nothing was chosen on: `NEW`."""

NEW: Final = ("tag", "line", "vignette", "fringe", "blocks")

FAMILY: Final[dict[str, tuple[str, ...]]] = {
    "place": ("place",), "interior": ("place",), "one_class": ("place",), "moving": ("place",),
    "watermark": ("place", "texture"), "level": ("tone",), "contrast": ("tone",), "tint": ("tone",),
    "frame": ("place", "tone"), "texture": ("texture",), "grain": ("texture",), "blur": ("texture",),
    "size": ("geometry",), "position": ("geometry",),
    "tag": ("place",), "line": ("place",), "vignette": ("place", "tone"), "fringe": ("tone", "geometry", "texture"),
    "blocks": ("texture",),
}  # fmt: skip
"""Families of cues that name each kind rightly."""


def _share(codes: Tensor) -> Tensor:
    return (codes.float() / (CODES - 1))[:, None, None, None]


def _grid(images: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = torch.meshgrid(torch.arange(images.shape[-2]), torch.arange(images.shape[-1]), indexing="ij")
    return rows.float(), columns.float()


def _squares(images: Tensor, left: Tensor, top: Tensor, width: int) -> Tensor:
    rows, columns = _grid(images)
    across = (columns[None] >= left[:, None, None]) & (columns[None] < (left + width)[:, None, None])
    down = (rows[None] >= top[:, None, None]) & (rows[None] < (top + width)[:, None, None])
    return torch.where((across & down)[:, None], torch.ones_like(images), images)


def _pasted(images: Tensor, tiles: Tensor, generator: torch.Generator) -> Tensor:
    height, width = tiles.shape[-2:]
    result = images.clone()
    for image, tile in zip(result, tiles, strict=True):
        top, left = torch.randint(images.shape[-1] - height, (2,), generator=generator).tolist()
        image[:, top : top + height, left : left + width] = tile
    return result


def _moved(images: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    matrix = torch.zeros(len(images), 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = scale
    matrix[:, :, 2] = offset
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
