"""Targets: the only place that picks the value of a network's output that is explained."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Final, Literal, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._checks import check_choice, check_classes, check_targets
from lightning_saliency._types import Logits, Scores, Targets

__all__ = ["ClassLogit", "Target"]

Activation: TypeAlias = Literal["softmax", "sigmoid"]
ACTIVATIONS: Final = ("softmax", "sigmoid")
Offer: TypeAlias = Literal["probability", "rivals", "classes"]
WAY_OUT: Final = (
    "wrap the model so that it returns one row of class logits per image, "
    "or tell the monitor where they are with its `model` and `output` arguments"
)


class Target(ABC):
    """The value that is explained: one number per image, computed from what the network returns.

    A target is made for a batch of B images. A subclass has a length, takes some of its images, and computes their
    values. It lists in `offers` what else it implements (a probability, the values of other classes). A method or
    metric that needs something else is refused by name.

    Attributes:
        offers: Which of `"probability"`, `"rivals"` and `"classes"` the target has.

    Example:
        >>> import torch
        >>> class Column(Target):
        ...     def __init__(self, column, batch_size):
        ...         self.column, self.batch_size = column, batch_size
        ...     def __len__(self):
        ...         return self.batch_size
        ...     def take(self, rows):
        ...         return Column(self.column, len(rows))
        ...     def value(self, output):
        ...         return output[:, self.column]
        >>> Column(1, 2).value(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor([2., 4.])
    """

    offers: ClassVar[frozenset[Offer]] = frozenset()

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images B."""

    @abstractmethod
    def take(self, rows: Tensor) -> "Target":
        """Return the target of these images, (N,) indices from 0 to B - 1, which may repeat."""

    @abstractmethod
    def value(self, output: Any) -> Scores:
        """Return the value of each image (B,), with the graph of the output: its gradients are explained."""

    def probability(self, output: Any, activation: Activation = "softmax") -> Scores:
        """Return how likely the model finds the target, (B,) in [0, 1].

        Raises:
            TypeError: If the target has no probability.
        """
        raise self._refusal("probability", type(self).__name__)

    def rivals(self, output: Any, count: int | None) -> Tensor:
        """Return the values of other classes, (B, R), largest first: at most `count` of them, or all for `None`.

        Raises:
            TypeError: If the target has no rivals.
        """
        raise self._refusal("rivals", type(self).__name__)

    def logits(self, output: Any) -> Logits:
        """Return the logits of all classes (B, K).

        Raises:
            TypeError: If the target is not one of several classes.
        """
        raise self._refusal("classes", type(self).__name__)

    def strongest(self, output: Any) -> Scores:
        """Return a value for images that are not the target's own (B,): layers are looked for with it."""
        return self.value(output)

    @property
    def argument(self) -> Any:
        """The argument `targets` of a user's function."""
        return self

    def to(self, device: torch.device) -> "Target":
        """Return the target on a device."""
        return self

    def split(self, size: int) -> "Iterator[Target]":
        """Yield the targets of chunks of at most `size` images."""
        for rows in torch.arange(len(self), device="cpu").split(size):
            yield self.take(rows)

    def repeat(self, times: int) -> "Target":
        """Return the target of the images one batch after the other, as `torch.cat([images] * times)` has them."""
        return self.take(torch.arange(len(self), device="cpu").repeat(times))

    def require(self, offer: Offer, member: str) -> None:
        """Refuse a member (a method, a metric) that needs what the target does not have.

        Raises:
            TypeError: If the target does not offer it.
        """
        if offer not in self.offers:
            raise self._refusal(offer, repr(member))

    def _refusal(self, offer: Offer, member: str) -> TypeError:
        return TypeError(
            f"`targets` must have {offer} for {member}, but got {type(self).__name__}, which has none. "
            "Pass class indices (B,), or leave the member out."
        )


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
        with torch.inference_mode(mode=False):
            # Autograd cannot save tensors that were made in inference mode.
            copied = classes.clone() if classes.is_inference() else classes.detach()
            self.classes = copied.to(torch.int64)

    def __len__(self) -> int:
        return len(self.classes)

    def __repr__(self) -> str:
        return f"ClassLogit({self.classes.tolist()})"

    def take(self, rows: Tensor) -> "ClassLogit":
        """Return the classes of these images."""
        return ClassLogit(self.classes[rows.to(self.classes.device)])

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

    def strongest(self, output: Any) -> Scores:
        """Return the largest logit of each image, whatever the number of images."""
        return class_logits(output, None).amax(dim=1)

    @property
    def argument(self) -> Targets:
        """The class indices (B,)."""
        return self.classes

    def to(self, device: torch.device) -> "ClassLogit":
        """Return the target on a device."""
        return ClassLogit(self.classes.to(device))

    def _checked(self, output: Any) -> Logits:
        logits = self.logits(output)
        check_classes(self.classes, logits.shape[1])
        return logits


TargetLike: TypeAlias = Targets | Target


def as_target(targets: Any, batch_size: int) -> Target:
    """Return the target that the user means: class indices (B,) are `ClassLogit`.

    Raises:
        TypeError: If it is neither a `Target` nor a tensor of integers.
        ValueError: If it is not made for this number of images.
    """
    if isinstance(targets, Target):
        if len(targets) != batch_size:
            raise ValueError(f"`targets` must be made for {batch_size} images, but got {targets!r} for {len(targets)}.")
        return targets
    check_targets(targets, batch_size)
    return ClassLogit(targets)


def predicted_class(output: Any, batch_size: int) -> ClassLogit:
    """Return the class with the largest logit for each image."""
    return ClassLogit(class_logits(output, batch_size).argmax(dim=1))


def class_logits(output: Any, batch_size: int | None) -> Logits:
    """Read logits of classes (B, K) from an output; a single logit z becomes the pair (-z/2, z/2).

    Args:
        output: Output of the model.
        batch_size: The number of images B, or `None` for any.

    Raises:
        TypeError: If the output is not a tensor.
        ValueError: If it does not have one row of logits per image.
    """
    if not isinstance(output, Tensor):
        raise TypeError(f"Expected the model to return a tensor of logits, but got {_kind(output)}: {WAY_OUT}.")
    if output.ndim != 2 or batch_size not in (None, output.shape[0]):
        raise ValueError(
            f"Expected logits of shape (B, K) for a batch of {batch_size}, but got {tuple(output.shape)}: {WAY_OUT}."
        )
    if output.shape[1] == 1:
        return torch.cat([-output / 2, output / 2], dim=1)
    return output


def _kind(output: Any) -> str:
    keys = f" with keys {list(output)}" if isinstance(output, dict) else ""
    return type(output).__name__ + keys
