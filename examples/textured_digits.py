"""Handwritten digits pasted on textured canvases, with masks of the visible digit."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

CANVAS: Final = 48
SIZES: Final = {"small": 16, "medium": 24, "large": 36}
TEXTURES: Final = ("flat", "noise", "stripes")


class TexturedDigits(NamedTuple):
    """Images (N, 3, 48, 48) in [0, 1] with their labels and properties.

    Attributes:
        images: The images.
        labels: The digits, (N,).
        masks: Positions where the digit is visible, (N, 48, 48).
        sizes: Index into `SIZES`, (N,).
        textures: Index into `TEXTURES`, (N,).
        occluded: Whether a bar hides part of the digit, (N,).
    """

    images: Tensor
    labels: Tensor
    masks: Tensor
    sizes: Tensor
    textures: Tensor
    occluded: Tensor


def textured_digits(count: int, seed: int) -> TexturedDigits:
    """Draw images from the bundled scans; even seeds draw from the first half of the scans, odd from the second."""
    scans, labels = load_digits(return_X_y=True)
    generator = torch.Generator().manual_seed(seed)
    half = len(labels) // 2
    indices = torch.randint(half, (count,), generator=generator) + (seed % 2) * half
    strokes = torch.tensor(scans[indices.numpy()], dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    sizes = torch.randint(len(SIZES), (count,), generator=generator)
    textures = torch.randint(len(TEXTURES), (count,), generator=generator)
    occluded = torch.rand(count, generator=generator) < 0.3
    pairs = [
        _paste(stroke, list(SIZES.values())[size], TEXTURES[texture], hidden, generator)
        for stroke, size, texture, hidden in zip(
            strokes, sizes.tolist(), textures.tolist(), occluded.tolist(), strict=True
        )
    ]
    images, masks = (torch.stack(part) for part in zip(*pairs, strict=True))
    return TexturedDigits(images, torch.tensor(labels[indices.numpy()]), masks, sizes, textures, occluded)


def groups(digits: TexturedDigits) -> Iterator[tuple[str, Tensor]]:
    """Name the groups of images that differ in size, texture and occlusion, with their members (N,)."""
    yield from ((name, digits.sizes == index) for index, name in enumerate(SIZES))
    yield from ((name, digits.textures == index) for index, name in enumerate(TEXTURES))
    yield "occluded", digits.occluded
    yield "unoccluded", ~digits.occluded


def _paste(stroke: Tensor, size: int, texture: str, hidden: bool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    scaled = functional.interpolate(stroke[None], size=(size, size), mode="bilinear", align_corners=False)[0, 0]
    top, left = (int(torch.randint(CANVAS - size + 1, (), generator=generator)) for _ in range(2))
    canvas = torch.zeros(CANVAS, CANVAS)
    canvas[top : top + size, left : left + size] = scaled
    if hidden:
        row = top + int(torch.randint(size // 2, size, (), generator=generator))
        canvas[row : row + size // 4] = 0
    colour = 0.7 + 0.3 * torch.rand(3, 1, 1, generator=generator)
    background = _background(texture, generator)
    image = torch.lerp(background, colour.expand_as(background), canvas)
    return image, canvas > 0.3


def _background(texture: str, generator: torch.Generator) -> Tensor:
    shade = 0.5 * torch.rand(3, 1, 1, generator=generator)
    if texture == "noise":
        return shade * torch.rand(3, CANVAS, CANVAS, generator=generator)
    if texture == "stripes":
        phase = torch.arange(CANVAS) * (0.3 + 0.6 * torch.rand((), generator=generator))
        return shade * (0.5 + 0.5 * phase.sin()).expand(3, CANVAS, CANVAS)
    return shade.expand(3, CANVAS, CANVAS)
