"""A value that a function of the user's computes."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_saliency._types import Scores
from lightning_saliency.targets._rows import RowTarget


class Value(RowTarget):
    """The value that a function computes of the output.

    Args:
        function: A function of the output, and of the labels where these are given, that returns one number per image
            (B,). Row n of its result must depend on row n of its arguments only.
        labels: Labels (B, ...) that the function takes as its second argument.

    Raises:
        TypeError: If `function` cannot be called; when asked for a value, if the result is no floating-point tensor.
        ValueError: When asked for a value, if the result is not one number per image.

    Example:
        >>> import torch
        >>> depth = Value(lambda output: output["depth"].mean(dim=(1, 2)))
        >>> depth.value({"depth": torch.ones(2, 4, 4)})
        tensor([1., 1.])
    """

    per_image: ClassVar[tuple[str, ...]] = ("labels",)
    labels: Tensor | None

    def __init__(self, function: Callable[..., Any], labels: Tensor | None = None) -> None:
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"`function` must be a function of the output, but got {function!r}.")
        super().__init__(labels=labels)
        self.function = function

    def __repr__(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    def value(self, output: Any) -> Scores:
        """Return the values that the function computes."""
        values = self.function(output) if self.labels is None else self.function(output, self.labels)
        if not isinstance(values, Tensor) or not values.is_floating_point():
            kind = values.dtype if isinstance(values, Tensor) else type(values).__name__
            raise TypeError(
                f"The value of target {self!r} must be a floating-point tensor of shape (B,), but got {kind}.  "
                "Return one number per image."
            )
        if values.ndim != 1 or self._size not in (None, len(values)):
            raise ValueError(
                f"The value of target {self!r} must have shape ({self._size or 'B'},), but got {tuple(values.shape)}.  "
                "Return one number per image."
            )
        return values


def is_value(result: Any) -> bool:
    """Tell a function's result that is a value of each image from classes and targets."""
    return isinstance(result, Tensor) and torch.is_floating_point(result)
