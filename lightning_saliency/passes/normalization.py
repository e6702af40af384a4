"""How raw pixels became what the model is fed, and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._types import Images

ChannelValues: TypeAlias = float | Sequence[float]
ROUNDING: Final = 1e-4


@dataclass(frozen=True)
class Normalization:
    """Raw pixels in [0, 1] minus `mean`, over `std`; one value or one per channel.

    Args:
        mean: Mean of the channels.
        std: Standard deviation of the channels.

    Example:
        >>> Normalization.of(0.5, [0.2, 0.3])
        Normalization(mean=(0.5,), std=(0.2, 0.3))
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, mean: Any, std: Any) -> "Normalization | None":
        """Check a mean and a standard deviation (numbers, sequences, arrays or tensors), and make them comparable.

        Returns:
            The normalisation, or `None` where both are `None`.

        Raises:
            TypeError: If they are no numbers.
            ValueError: If only one is given, values are not finite, or a standard deviation is not positive.
        """
        if (mean is None) != (std is None):
            raise ValueError(f"Expected both `mean` and `std` or neither, but got mean={mean!r} and std={std!r}.")
        if mean is None:
            return None
        means, stds = _floats("mean", mean), _floats("std", std)
        for name, values, argument in (("mean", means, mean), ("std", stds, std)):
            if not bool(torch.tensor(values).isfinite().all()):
                raise ValueError(f"Expected `{name}` to be finite, but got {argument!r}.")
        if min(stds) <= 0:
            raise ValueError(f"Expected `std` to be positive, but got {std!r}.")
        return cls(means, stds)

    def level(self, value: float, images: Images) -> Tensor:
        """Return where a raw value lies in the model's input space, (1, C, 1...)."""
        return (value - per_channel("mean", self.mean, images)) / per_channel("std", self.std, images)

    def to_raw(self, images: Images) -> Images:
        """Undo the normalisation."""
        return images * per_channel("std", self.std, images) + per_channel("mean", self.mean, images)


def per_channel(name: str, values: Sequence[float], images: Images) -> Tensor:
    """Shape channel values as (1, C, 1...) beside the images.

    Raises:
        ValueError: If there is neither one value nor one for each channel.
    """
    tensor = torch.tensor(tuple(values), dtype=images.dtype, device=images.device)
    if tensor.numel() not in (1, images.shape[1]):
        raise ValueError(
            f"Expected `{name}` to have one value, or one for each of {images.shape[1]} channels, "
            f"but got {tensor.numel()}."
        )
    return tensor.expand(images.shape[1]).reshape(1, -1, *[1] * (images.ndim - 2))


def is_raw(images: Images) -> bool:
    """Whether all values lie in [0, 1], as raw pixels do."""
    return bool(((images >= -ROUNDING) & (images <= 1 + ROUNDING)).all())


def check_raw(images: Images) -> None:
    """Refuse images outside [0, 1], in which black is unknown.

    Raises:
        ValueError: If a value lies outside.
    """
    if not is_raw(images):
        raise ValueError(
            f"Expected images in [0, 1], but got values from {images.min().item():.4g} to "
            f"{images.max().item():.4g}: pass the `mean` and `std` that they were normalised with."
        )


def _floats(name: str, values: Any) -> tuple[float, ...]:
    try:
        numbers = torch.as_tensor(values, dtype=torch.float64).reshape(-1).tolist()
    except (TypeError, ValueError, RuntimeError):
        numbers = []
    if not numbers:
        raise TypeError(f"`{name}` must be a number or one for each channel, but got {values!r}.  Pass numbers.")
    return tuple(numbers)
