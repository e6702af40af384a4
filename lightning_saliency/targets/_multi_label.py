"""Several classes per image."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_saliency._types import Logits, Scores
from lightning_saliency.targets._class_logit import ClassLogit
from lightning_saliency.targets._outputs import tensor_of, wrong_shape
from lightning_saliency.targets._rows import RowTarget
from lightning_saliency.targets._target import Activation, Offer, Target


class MultiLabel(RowTarget):
    """The mean logit of several classes per image, for networks whose classes do not exclude each other.

    The probability is the mean of the probabilities of these classes, each by a sigmoid whatever the activation.
    Images without a class have value 0 and maps of zeros.

    Args:
        labels: Which classes each image has, (B, K) boolean or of zeros and ones. `None` takes the labels of the batch
            where they have that form, else the classes whose logit is positive.

    Raises:
        ValueError: If `labels` are not zeros and ones (B, K); when asked for a value, if the output has another shape.
        TypeError: When asked for a value, if the output is not a tensor.

    Example:
        >>> import torch
        >>> target = MultiLabel(torch.tensor([[1, 0, 1], [0, 1, 0]]))
        >>> target.value(torch.tensor([[1.0, 9.0, 3.0], [9.0, 5.0, 9.0]]))
        tensor([2., 5.])
        >>> target.texts
        ['0 2', '1']
    """

    offers: ClassVar[frozenset[Offer]] = frozenset({"probability", "classes"})
    per_image: ClassVar[tuple[str, ...]] = ("labels",)
    labels: Tensor | None

    def __init__(self, labels: Tensor | None = None) -> None:
        if labels is not None and not isinstance(labels, Tensor):
            raise TypeError(
                f"`labels` must be a tensor (B, K) or None, but got {type(labels).__name__}.  Pass a tensor."
            )
        if labels is not None and not are_flags(labels):
            raise ValueError(
                f"`labels` must be zeros and ones of shape (B, K), but got {labels.dtype} of shape "
                f"{tuple(labels.shape)}."
            )
        super().__init__(labels=None if labels is None else labels.bool())

    @property
    def texts(self) -> list[str]:
        """The numbers of the classes."""
        flags = torch.empty(0) if self.labels is None else self.labels
        return [" ".join(map(str, row.nonzero().flatten().tolist())) or "none" for row in flags]

    @property
    def is_complete(self) -> bool:
        """Whether there are labels."""
        return self.labels is not None

    def completed(self, output: Any, labels: Tensor | None = None) -> Target:
        """Take the labels of the batch, or the classes whose logit is positive."""
        if self.is_complete:
            return self
        return MultiLabel(labels if labels is not None and are_flags(labels) else self.logits(output) > 0)

    def value(self, output: Any) -> Scores:
        """Return the mean logits (B,)."""
        return self._mean(self.logits(output))

    def probability(self, output: Any, activation: Activation = "sigmoid") -> Scores:
        """Return the mean probabilities (B,)."""
        return self._mean(self.logits(output).sigmoid())

    def logits(self, output: Any) -> Logits:
        """Return the logits of all classes (B, K), also of a single one."""
        logits = tensor_of(output, self._size, "(B, K)", "MultiLabel")
        if logits.ndim != 2 or (self.labels is not None and logits.shape != self.labels.shape):
            shape = "(B, K)" if self.labels is None else str(tuple(self.labels.shape))
            raise wrong_shape(logits, shape, "MultiLabel")
        return logits

    def least_likely(self, logits: Logits) -> ClassLogit:
        """Return the class with the lowest logit that the image does not have."""
        flags = logits < 0 if self.labels is None else self.labels
        return ClassLogit(logits.masked_fill(flags, float("inf")).argmin(dim=1))

    def digest(self, output: Any) -> tuple[Target, Tensor]:
        """Return the logits."""
        return self, self.logits(output)

    def strongest(self, output: Any) -> Scores:
        """Return the largest logit of each image."""
        return tensor_of(output, None, "(B, K)", "MultiLabel").amax(dim=1)

    def _mean(self, values: Tensor) -> Scores:
        if self.labels is None:
            raise ValueError("`labels` must be there for a value, but got None.  Pass `MultiLabel(labels)`.")
        flags = self.labels.to(values)
        return (values * flags).sum(dim=1) / flags.sum(dim=1).clamp(min=1)


def are_flags(labels: Tensor) -> bool:
    """Tell zeros and ones of every class (B, K) from labels of another kind."""
    return labels.ndim == 2 and bool(((labels == 0) | (labels == 1)).all())
