"""The logit of one class, which is what classifiers are asked for."""

import copy
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_saliency._checks import check_choice, check_classes, check_targets
from lightning_saliency._types import Logits, Scores, Targets
from lightning_saliency.targets._outputs import class_logits
from lightning_saliency.targets._rows import usable
from lightning_saliency.targets._target import ACTIVATIONS, Activation, Offer, Target


class ClassLogit(Target):
    """The logit of one class per image.

    The model returns one row of logits per image, (B, K). A single logit z becomes the pair (-z/2, z/2), so that a
    model of two classes may return either.

    Args:
        classes: Class indices (B,).

    Raises:
        TypeError: If they are not integers; when asked for a value, if the model returns no tensor.
        ValueError: If they are not one per image; when asked for a value, if the model's output has another shape or
            no logit for a class.

    Example:
        >>> import torch
        >>> target = ClassLogit(torch.tensor([0, 2]))
        >>> logits = torch.tensor([[1.0, 2.0, 3.0], [4.0, 6.0, 5.0]])
        >>> target.value(logits)
        tensor([1., 5.])
        >>> target.rivals(logits, 1)
        tensor([[3.],
                [6.]])
    """

    offers: ClassVar[frozenset[Offer]] = frozenset({"probability", "rivals", "classes"})

    def __init__(self, classes: Targets) -> None:
        check_targets(classes, len(classes) if isinstance(classes, Tensor) and classes.ndim else 1)
        self.classes: Targets = usable(classes).to(torch.int64)
        self._bounds = _Bounds(self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    def __repr__(self) -> str:
        return f"ClassLogit({self.classes.tolist()})"

    def take(self, rows: Tensor) -> "ClassLogit":
        """Return the classes of these images."""
        return self._with(self.classes[rows.to(self.classes.device)])

    def value(self, output: Any) -> Scores:
        """Return the logits of the classes (B,)."""
        return self._checked(output).gather(1, self.classes[:, None])[:, 0]

    def probability(self, output: Any, activation: Activation = "softmax") -> Scores:
        """Return the probabilities of the classes (B,): among all classes, or by itself for `"sigmoid"`."""
        check_choice("activation", activation, ACTIVATIONS)
        logits = self._checked(output)
        probabilities = logits.softmax(dim=1) if activation == "softmax" else logits.sigmoid()
        return probabilities.gather(1, self.classes[:, None])[:, 0]

    def rivals(self, output: Any, count: int | None) -> Tensor:
        """Return the logits of the other classes (B, R), largest first."""
        logits = self._checked(output)
        others = logits.shape[1] - 1 if count is None else min(count, logits.shape[1] - 1)
        without = logits.detach().scatter(1, self.classes[:, None], -torch.inf)
        return logits.gather(1, without.topk(others, dim=1).indices)

    def logits(self, output: Any) -> Logits:
        """Return the logits of all classes (B, K)."""
        return class_logits(output, len(self))

    def least_likely(self, logits: Logits) -> "ClassLogit":
        """Return the class with the lowest logit, other than the target's own."""
        return ClassLogit(logits.scatter(1, self.classes[:, None], torch.inf).argmin(dim=1))

    def digest(self, output: Any) -> tuple[Target, Tensor]:
        """Return the logits."""
        return self, self.logits(output)

    def strongest(self, output: Any) -> Scores:
        """Return the largest logit of each image, whatever the number of images."""
        return class_logits(output, None).amax(dim=1)

    @property
    def argument(self) -> Targets:
        """The class indices (B,)."""
        return self.classes

    @property
    def texts(self) -> list[str]:
        """The numbers of the classes."""
        return [str(label) for label in self.classes.tolist()]

    def to(self, device: torch.device) -> "ClassLogit":
        """Return the target on a device."""
        return self._with(self.classes.to(device))

    def _with(self, classes: Targets) -> "ClassLogit":
        twin = copy.copy(self)
        twin.classes = usable(classes)
        return twin

    def _checked(self, output: Any) -> Logits:
        logits = self.logits(output)
        self._bounds.check(logits.shape[1])
        return logits


class _Bounds:
    """The smallest and the largest class of a batch, read from the device once for all its parts and passes."""

    def __init__(self, classes: Targets) -> None:
        self._classes = classes

    def check(self, num_classes: int) -> None:
        lowest, highest = self._values
        if lowest < 0 or highest >= num_classes:
            check_classes(self._classes, num_classes)

    @cached_property
    def _values(self) -> tuple[int, int]:
        if not len(self._classes):
            return 0, 0
        lowest, highest = torch.stack(self._classes.aminmax()).tolist()
        return lowest, highest


def predicted_class(output: Any, batch_size: int) -> ClassLogit:
    """Return the class with the largest logit for each image."""
    return ClassLogit(class_logits(output, batch_size).argmax(dim=1))
