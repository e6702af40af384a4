"""The paint over pixels."""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from torch import Tensor

from lightning_saliency._types import Images
from lightning_saliency.passes.blur import gaussian_blur
from lightning_saliency.passes.normalization import Normalization, check_raw

Canvas: TypeAlias = Literal["black", "white", "mean", "blur"]
CANVASES: Final = ("black", "white", "mean", "blur")
RAW_LEVELS: Final = {"black": 0.0, "white": 1.0}


class Blur(NamedTuple):
    """Standard deviation of a Gaussian blur and where it is cut, in pixels; `None` cuts it at four deviations."""

    sigma: float
    radius: int | None = None


RISE_BLUR: Final = Blur(5.0, 5)


@dataclass(frozen=True)
class Paint:
    """A canvas in the model's input space: what hides pixels, or where a path starts.

    Args:
        canvas: `"black"`, `"white"`, `"mean"` (the data set's mean colour; each image's mean colour where the
            normalisation is not given) or `"blur"` (the image itself, blurred).
        normalization: How the images were normalised; `None` for images in [0, 1].
        blur: Which blur.

    Example:
        >>> import torch
        >>> Paint("white", Normalization.of(0.5, 0.25)).on(torch.zeros(1, 1, 2, 2))
        tensor([[[[2.]]]])
    """

    canvas: Canvas
    normalization: Normalization | None = None
    blur: Blur = RISE_BLUR

    def on(self, images: Images) -> Tensor:
        """Return the canvas of images (B, C, *S), in a shape that broadcasts to theirs.

        Raises:
            ValueError: If the normalisation does not fit the images, or is missing where black or white need it.
        """
        if self.canvas == "blur":
            return gaussian_blur(images, self.blur.sigma, radius=self.blur.radius)
        if self.canvas == "mean":
            return self._mean_of(images)
        if self.normalization is None:
            check_raw(images)
            return images.new_full((1, images.shape[1], *[1] * (images.ndim - 2)), RAW_LEVELS[self.canvas])
        return self.normalization.level(RAW_LEVELS[self.canvas], images)

    def _mean_of(self, images: Images) -> Tensor:
        """Normalisation moved the mean colour to zero; an image's own mean is right in any colour space."""
        means = images.mean(dim=tuple(range(2, images.ndim)), keepdim=True)
        return means if self.normalization is None else means.new_zeros(means[:1].shape)
