"""A class in a region of a segmentation."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from lightning_saliency._types import Logits, Masks, Scores
from lightning_saliency.targets._class_logit import ClassLogit
from lightning_saliency.targets._outputs import class_logits, tensor_of, wrong_shape
from lightning_saliency.targets._rows import RowTarget
from lightning_saliency.targets._target import Activation, Offer, Target


class Region(RowTarget):
    """The logit of a class, averaged over a region of the output of a segmentation.

    The output is (B, K, *S) with a logit for each class and position; of one channel the logit z becomes the pair
    (-z/2, z/2). The mean logits of the region are those of all classes, of which probability and rivals are made.

    Args:
        classes: One class for all images, or one for each (B,).
        mask: The region of each image, (B, *S) boolean. A mask of another size than the output's is averaged to it.
            `None` takes the positions where the model predicts the class for the intact image, and all positions
            where it does so nowhere.

    Raises:
        TypeError: If `classes` are no whole numbers; when asked for a value, if the output is not a tensor.
        ValueError: If there are other numbers of classes and masks; when asked for a value, if the output is not
            (B, K, *S) or has no such class.

    Example:
        >>> import torch
        >>> output = torch.tensor([[[[0.0, 0.0]], [[1.0, 3.0]]]])
        >>> Region(1, torch.tensor([[[True, False]]])).value(output)
        tensor([1.])
        >>> Region(1).completed(output).value(output)
        tensor([2.])
    """

    offers: ClassVar[frozenset[Offer]] = frozenset({"probability", "rivals", "classes"})
    per_image: ClassVar[tuple[str, ...]] = ("classes", "mask")
    mask: Masks | None

    def __init__(self, classes: int | Tensor, mask: Tensor | None = None) -> None:
        check_class_or_classes(classes)
        if mask is not None and mask.ndim < 2:
            raise ValueError(f"`mask` must have shape (B, *S), but got {tuple(mask.shape)}.  Pass one region an image.")
        super().__init__(classes=classes, mask=mask)

    @property
    def texts(self) -> list[str]:
        """The numbers of the classes."""
        return self.class_logit.texts

    @property
    def is_complete(self) -> bool:
        """Whether there is a mask."""
        return self.mask is not None

    def completed(self, output: Any, labels: Tensor | None = None) -> Target:
        """Take the positions where the class is predicted, or all where there are none."""
        if self.mask is not None:
            return self
        logits = self._dense(output)
        classes = self.of(len(logits)).to(logits.device).class_logit.classes
        predicted = (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(dim=1)
        mask = predicted == classes.reshape(-1, *[1] * (logits.ndim - 2))
        return Region(classes, mask | ~mask.any(dim=tuple(range(1, mask.ndim)), keepdim=True))

    def value(self, output: Any) -> Scores:
        """Return the mean logit of the class in the region (B,)."""
        return self.class_logit.value(self.logits(output))

    def probability(self, output: Any, activation: Activation = "softmax") -> Scores:
        """Return the probability of the class by the mean logits (B,)."""
        return self.class_logit.probability(self.logits(output), activation)

    def rivals(self, output: Any, count: int | None) -> Tensor:
        """Return the mean logits of the other classes (B, R), largest first."""
        return self.class_logit.rivals(self.logits(output), count)

    def logits(self, output: Any) -> Logits:
        """Return the mean logits of all classes in the region (B, K)."""
        logits = self._dense(output)
        if self.mask is None:
            raise ValueError("`mask` must be there for a value, but got None.  Pass it, or take `completed(output)`.")
        weights = _resized(self.mask.to(logits), logits.shape[2:])
        totals = weights.flatten(1).sum(dim=1, keepdim=True)
        means = (logits * weights[:, None]).flatten(2).sum(dim=2) / torch.where(totals > 0, totals, 1.0)
        return class_logits(means, len(self))

    def least_likely(self, logits: Logits) -> "Region":
        """Return the same region of the class with the lowest mean logit, other than the target's own."""
        return Region(self.class_logit.least_likely(logits).classes, self.mask)

    def digest(self, output: Any) -> tuple[Target, Tensor]:
        """Return the mean logits."""
        return self.class_logit, self.logits(output)

    def strongest(self, output: Any) -> Scores:
        """Return the largest of the logits averaged over all positions, whatever the number of images."""
        return tensor_of(output, None, "(B, K, *S)", "Region").flatten(2).mean(dim=2).amax(dim=1)

    @property
    def class_logit(self) -> ClassLogit:
        """The logit of the class among the mean logits."""
        if self.classes is None:
            raise TypeError(f"`targets` must be for some images, but got {self!r} for any.  Take `of(batch_size)`.")
        return ClassLogit(self.classes)

    def _dense(self, output: Any) -> Tensor:
        logits = tensor_of(output, self._size, "(B, K, *S)", "Region")
        if logits.ndim < 3 or (self.mask is not None and logits.ndim != self.mask.ndim + 1):
            shape = "(B, K, *S)" if self.mask is None else f"(B, K, *S) for masks {tuple(self.mask.shape)}"
            raise wrong_shape(logits, shape, "Region")
        # Sums over many positions lose digits in half precision.
        return logits if logits.dtype == torch.float64 else logits.float()


def check_class_or_classes(classes: Any) -> None:
    """Refuse what is neither a class nor one for each image.

    Raises:
        TypeError: If it is neither.
        ValueError: If it is negative.
    """
    if isinstance(classes, Tensor):
        ClassLogit(classes)
    elif isinstance(classes, bool) or not isinstance(classes, int):
        raise TypeError(f"`classes` must be a class or class indices (B,), but got {classes!r}.")
    elif classes < 0:
        raise ValueError(f"`classes` must be at least 0, but got {classes}.")


def _resized(weights: Tensor, size: torch.Size) -> Tensor:
    """Average the mask to the size of the output."""
    if weights.shape[1:] == size:
        return weights
    return functional.interpolate(weights[:, None], size=tuple(size), mode="area")[:, 0]
