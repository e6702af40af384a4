"""A picture of a cue that is put from one image into another."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from lightning_saliency._checks import check_images, checked_texts
from lightning_saliency.visualization._overlay import overlay
from lightning_saliency.visualization._strip import (
    FONTS_PER_WIDTH,
    GAP,
    SHORTEST_SIDE,
    SMALLEST_FONT,
    enlarged,
    shrunk,
    to_size,
)
from lightning_saliency.visualization._text import label_image, text_image

# A map of hardly anything stays dark.
LEAST_SCALE: Final = 0.1
LABELS: Final = ("donor", "host", "host with the cue")


def draw_transplant(images: Tensor, captions: Sequence[str], places: Tensor | None = None) -> Tensor:
    """Draw a donor, a host and the host with the donor's cue, and the map of places over a mean image.

    Args:
        images: Donor, host, host with the cue, and mean image, (4, 3, H, W) in [0, 1].
        captions: Lines of text.
        places: How much each place is followed, (rows, columns); `None` leaves the map out.

    Returns:
        Picture (3, H', W') uint8.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If there are too few images.

    Example:
        >>> import torch
        >>> draw_transplant(torch.rand(4, 3, 8, 8), ["donor, true 1"], torch.rand(4, 4)).shape
        torch.Size([3, 239, 670])
    """
    check_images(images)
    if len(images) < len(LABELS) + (places is not None):
        raise ValueError(
            f"`images` must be at least {len(LABELS)} images, and one more with `places`, but got {len(images)}.  "
            "Pass them in this order."
        )
    tiles = [shrunk(image) for image in images]
    factor = -(-SHORTEST_SIDE // min(tiles[0].shape[1:]))
    pictures = dict(zip(LABELS, tiles[:3], strict=True))
    lines = [*checked_texts("captions", captions, "lines")]
    if places is not None:
        shown = to_size(places.clamp(min=0), tiles[3], mode="nearest")
        most = max(float(shown.max()), LEAST_SCALE)
        pictures["places followed"] = overlay(tiles[3], shown, (0.0, most))
        lines.append(f"places over the mean image: brighter is followed more, from 0 to {most:.2g}")
    width = len(pictures) * tiles[0].shape[2] * factor + (len(pictures) - 1) * GAP
    font_size = max(SMALLEST_FONT, width // FONTS_PER_WIDTH)
    columns = [
        torch.cat([label_image(label, tile.shape[2] * factor, font_size), enlarged(tile, factor)], dim=1)
        for label, tile in pictures.items()
    ]
    gap = torch.full((3, columns[0].shape[1], GAP), 255, dtype=torch.uint8)
    picture = torch.cat([part for column in columns for part in (column, gap)][:-1], dim=2)
    return torch.cat([picture, text_image(lines, width, font_size)], dim=1)
