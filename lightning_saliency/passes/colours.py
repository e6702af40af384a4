"""Raw pixel space: where black, white and the mean lie in what the model is fed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._types import Images
from lightning_saliency.passes.blur import gaussian_blur

ChannelValues: TypeAlias = float | Sequence[float]
Canvas: TypeAlias = Literal["black", "white", "mean", "blur"]
CANVASES: Final = ("black", "white", "mean", "blur")
RAW_LEVELS: Final = {"black": 0.0, "white": 1.0}
RISE_BLUR: Final = (5.0, 5)
ROUNDING: Final = 1e-4


@dataclass(frozen=True)
class Paint:
    """What pixels are painted over with; hashable, and so part of a change's key.

    Attributes:
        canvas: `"black"`, `"white"`, `"mean"` (the data set's mean colour, or without a known one each
            image's own) or `"blur"` (the image itself, blurred).
        mean: Mean that the images were normalised with, or `None`.
        std: Standard deviation that they were normalised with, or `None`.
        blur: Standard deviation and radius of the blur in pixels.
    """

    canvas: Canvas
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    blur: tuple[float, int] = RISE_BLUR

    def on(self, images: Images) -> Tensor:
        """Return the canvas for these images."""
        return canvas_of(self.canvas, images, self.mean, self.std, self.blur)


def canvas_of(
    canvas: Canvas,
    images: Images,
    mean: ChannelValues | None,
    std: ChannelValues | None,
    blur: tuple[float, int] = RISE_BLUR,
) -> Tensor:
    """Return a canvas in the model's input space, in a shape that broadcasts to the images'.

    Raises:
        ValueError: If `mean` and `std` do not fit the images, or are missing where black or white needs them.
    """
    if canvas == "blur":
        return gaussian_blur(images, blur[0], radius=blur[1])
    if canvas == "mean":
        return _mean_of(images, known=mean is not None)
    return _level_of(RAW_LEVELS[canvas], images, mean, std)


def paint_of(
    canvas: Canvas, mean: ChannelValues | None, std: ChannelValues | None, blur: tuple[float, int] = RISE_BLUR
) -> Paint:
    """Make channel values hashable."""
    return Paint(canvas, _as_tuple(mean), _as_tuple(std), blur)


def _as_tuple(values: ChannelValues | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(torch.as_tensor(values, dtype=torch.float64).reshape(-1).tolist())


def _mean_of(images: Images, *, known: bool) -> Tensor:
    """Normalisation moved the mean colour to zero; without it an image's own mean is right in any colour space."""
    means = images.mean(dim=tuple(range(2, images.ndim)), keepdim=True)
    return torch.zeros_like(means[:1]) if known else means


def _level_of(level: float, images: Images, mean: ChannelValues | None, std: ChannelValues | None) -> Tensor:
    if mean is None or std is None:
        check_raw(images)
        return images.new_full((1, images.shape[1], *[1] * (images.ndim - 2)), level)
    return (level - per_channel("mean", mean, images)) / per_channel("std", std, images)


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
