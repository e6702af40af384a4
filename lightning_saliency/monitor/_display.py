"""The part of an image that pictures show."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lightning_saliency.visualization import displayable

Display: TypeAlias = Sequence[int] | Callable[..., Any] | None


def check_display(display: Any) -> None:
    """Refuse what are neither channels nor a function.

    Raises:
        TypeError: If it is something else.
        ValueError: If it is another number of channels than one or three.
    """
    if display is None or callable(display):
        return
    if isinstance(display, str) or not isinstance(display, Sequence) or any(type(each) is not int for each in display):
        raise TypeError(f"`display` must be channels or a function of an image, but got {display!r}.")
    if len(display) not in (1, 3):
        raise ValueError(f"`display` must be one channel or three, but got {display!r}.")


def shown(image: Tensor, display: Display) -> Tensor:
    """Make a picture of an image or of a volume.

    Args:
        image: Raw values (C, *S).
        display: Channels to show, or a function that returns an image (1, *S) or (3, *S).

    Returns:
        Colours (3, *S) uint8.

    Raises:
        TypeError: If the function returns no tensor.
        ValueError: If the image has no such channel, or the function returns another shape.
    """
    chosen = _chosen(image, display)
    flat = displayable(chosen.flatten(1, -2))
    return (flat * 255).round().to(torch.uint8).reshape(3, *image.shape[1:])


def _chosen(image: Tensor, display: Display) -> Tensor:
    if display is None:
        return image
    if not callable(display):
        if not all(-len(image) <= channel < len(image) for channel in display):
            raise ValueError(f"`display` must name channels below {len(image)}, but got {list(display)!r}.")
        return image[list(display)]
    picture = display(image)
    if not isinstance(picture, Tensor):
        raise TypeError(f"`display` must return a tensor, but got {type(picture).__name__}.")
    if len(picture) not in (1, 3) or picture.shape[1:] != image.shape[1:]:
        size = ", ".join(map(str, image.shape[1:]))
        raise ValueError(f"`display` must return shape (3, {size}) or (1, {size}), but got {tuple(picture.shape)}.")
    return picture
