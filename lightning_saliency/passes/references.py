"""Reference images, and the baselines that paths start from."""

from dataclasses import dataclass
from typing import Final, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._checks import check_dense
from lightning_saliency._types import Images
from lightning_saliency.passes.canvases import Blur, Canvas, Paint
from lightning_saliency.passes.normalization import Normalization

PerChannel: TypeAlias = float | tuple[float, ...] | None
BLUR_SHARE: Final = 0.1


class References:
    """Reference images in the model's input space, compared by identity, so that methods with them are hashable.

    Args:
        images: Reference images (R, C, *S), or for a baseline one image (C, *S). They are copied.

    Raises:
        TypeError: If they are not a floating-point tensor.
        ValueError: If they are empty or not finite.
    """

    def __init__(self, images: Tensor) -> None:
        if not isinstance(images, Tensor) or not images.is_floating_point():
            kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
            raise TypeError(f"Expected reference images to be a floating-point tensor, but got {kind}.")
        check_dense("references", images)
        if images.ndim < 2 or not images.numel() or not bool(torch.isfinite(images).all()):
            raise ValueError(
                f"Expected reference images to be finite, of shape (R, C, *S) or (C, *S) and not empty, "
                f"but got shape {tuple(images.shape)}."
            )
        with torch.inference_mode(mode=False):
            self.images = images.detach().clone()

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"References(shape={tuple(self.images.shape)})"


@dataclass(frozen=True)
class Baseline:
    """Where a path starts: a canvas (a colour of raw pixel space, the blurred image) or an image of the user's."""

    start: Canvas | References
    normalization: Normalization | None = None

    def of(self, images: Images) -> Images:
        """Return the starting point of every image, of the images' shape."""
        if isinstance(self.start, References):
            return _shaped(self.start.images, images)
        blur = Blur(BLUR_SHARE * max(images.shape[2:]))
        return Paint(self.start, self.normalization, blur).on(images).expand_as(images)


def _shaped(baseline: Tensor, images: Images) -> Images:
    single = baseline[0] if baseline.ndim == images.ndim and len(baseline) == 1 else baseline
    shape = images.shape[1:]
    fits = single.ndim == len(shape) and all(size in (1, full) for size, full in zip(single.shape, shape, strict=True))
    if not fits:
        raise ValueError(
            f"Expected a baseline of shape {tuple(shape)}, one image, but got {tuple(baseline.shape)}: "
            "it has to be the same for every image."
        )
    return single.to(images).expand_as(images)
