"""Raw pixel space: where black, white and the mean lie in what the model is fed."""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._types import Images

ChannelValues: TypeAlias = float | Sequence[float]
Canvas: TypeAlias = Literal["black", "white"]
RAW_LEVELS: Final = {"black": 0.0, "white": 1.0}
ROUNDING: Final = 1e-4


def canvas_of(canvas: Canvas, images: Images, mean: ChannelValues | None, std: ChannelValues | None) -> Tensor:
    """Return a canvas's colour in the model's input space, of shape (1, C, 1...).

    Raises:
        ValueError: If `mean` and `std` do not fit the images, or are missing and the images are not raw.
    """
    if mean is None or std is None:
        check_raw(images)
        return images.new_full((1, images.shape[1], *[1] * (images.ndim - 2)), RAW_LEVELS[canvas])
    return (RAW_LEVELS[canvas] - per_channel("mean", mean, images)) / per_channel("std", std, images)


def to_raw(images: Images, mean: ChannelValues | None, std: ChannelValues | None) -> Images:
    """Undo the normalisation; images whose normalisation is unknown are returned as they are."""
    if mean is None or std is None:
        return images
    return images * per_channel("std", std, images) + per_channel("mean", mean, images)


def per_channel(name: str, values: ChannelValues, images: Images) -> Tensor:
    """Shape channel values as (1, C, 1...) beside the images."""
    tensor = torch.as_tensor(values, dtype=images.dtype, device=images.device).reshape(-1)
    if tensor.numel() not in (1, images.shape[1]):
        raise ValueError(
            f"Expected `{name}` to have one value, or one for each of {images.shape[1]} channels, "
            f"but got {tensor.numel()}."
        )
    return tensor.expand(images.shape[1]).reshape(1, -1, *[1] * (images.ndim - 2))


def is_raw(images: Images) -> bool:
    """Whether all values lie in [0, 1], as raw pixels do."""
    return bool(images.min() >= -ROUNDING and images.max() <= 1 + ROUNDING)


def check_raw(images: Images) -> None:
    """Refuse images outside [0, 1]: what is black in them cannot be known."""
    if not is_raw(images):
        raise ValueError(
            f"Expected images in [0, 1], but got values from {images.min().item():.4g} to "
            f"{images.max().item():.4g}: pass the `mean` and `std` that they were normalised with."
        )


def check_colours(mean: object, std: object) -> None:
    """Refuse half a normalisation, values that are not finite, and a standard deviation that is not positive."""
    if (mean is None) != (std is None):
        raise ValueError(f"Expected both `mean` and `std` or neither, but got mean={mean!r} and std={std!r}.")
    for name, values in (("mean", mean), ("std", std)):
        if values is not None and not bool(torch.isfinite(torch.as_tensor(values)).all()):
            raise ValueError(f"Expected `{name}` to be finite, but got {values!r}.")
    if std is not None and not bool((torch.as_tensor(std) > 0).all()):
        raise ValueError(f"Expected `std` to be positive, but got {std!r}.")
