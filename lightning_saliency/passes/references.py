"""Reference images, and the baselines that paths start from."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._checks import check_dense, check_targets
from lightning_saliency._types import Images
from lightning_saliency.passes.canvases import Blur, Canvas, Paint
from lightning_saliency.passes.marks import shared_positions
from lightning_saliency.passes.normalization import Normalization

PerChannel: TypeAlias = float | tuple[float, ...] | None
ReferenceClasses: TypeAlias = Literal["all", "same", "other"]
REFERENCE_CLASSES: Final = ("all", "same", "other")
BLUR_SHARE: Final = 0.1


class References:
    """Reference images in the model's input space, compared by identity, so that methods with them are hashable.

    Args:
        images: Reference images (R, C, *S), or for a baseline one image (C, *S). They are copied.
        labels: Their classes (R,), for methods that draw references of the same class or of other ones.

    Raises:
        TypeError: If they are not a floating-point tensor, or labels are not classes.
        ValueError: If they are empty or not finite, or labels are not one for each.

    Example:
        >>> import torch
        >>> from lightning_saliency.methods import ExpectedGradients
        >>> references = References(torch.rand(10, 3, 8, 8), torch.arange(10) % 2)
        >>> ExpectedGradients(references, reference_classes="other").references
        References(shape=(10, 3, 8, 8))
    """

    def __init__(self, images: Tensor, labels: Tensor | None = None) -> None:
        if not isinstance(images, Tensor) or not images.is_floating_point():
            kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
            raise TypeError(f"Expected reference images to be a floating-point tensor, but got {kind}.")
        check_dense("references", images)
        if images.ndim < 2 or not images.numel() or not bool(torch.isfinite(images).all()):
            raise ValueError(
                f"Expected reference images to be finite, of shape (R, C, *S) or (C, *S) and not empty, "
                f"but got shape {tuple(images.shape)}."
            )
        if labels is not None:
            check_targets(labels, len(images))
        with torch.inference_mode(mode=False):
            self.images = images.detach().clone()
            self.labels = None if labels is None else labels.detach().to("cpu", torch.int64, copy=True)

    def of(self, label: int, classes: ReferenceClasses) -> list[int]:
        """List the references that an image of a class is compared with.

        Raises:
            ValueError: If their classes are unknown, or there are none.
        """
        if classes == "all":
            return list(range(len(self)))
        if self.labels is None:
            raise ValueError(
                f"`references` must have labels for `reference_classes={classes!r}`, but got none.  Pass "
                "`References(images, labels)` from `lightning_saliency.extend`."
            )
        chosen = ((self.labels == label) == (classes == "same")).nonzero().flatten().tolist()
        if not chosen:
            kind = "of class" if classes == "same" else "of another class than"
            raise ValueError(
                f"`references` must have an image {kind} {label}, but got classes {self.labels.unique().tolist()}.  "
                "Pass more references, or another `reference_classes`."
            )
        return chosen

    @cached_property
    def pattern(self) -> str:
        """Say where all of them have the same pattern; empty where they have none."""
        shared = shared_positions(self.images)
        if shared is None:
            return ""
        places = shared.nonzero()
        lowest, highest = places.amin(dim=0).tolist(), places.amax(dim=0).tolist()
        box = ", ".join(f"{start}:{end + 1}" for start, end in zip(lowest, highest, strict=True))
        return f"{len(places)} positions within [{box}]"

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
