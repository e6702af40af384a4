"""The base of all targets: a value of each image, and perhaps a probability and the values of other classes."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Final, Literal, Self, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._types import Logits, Scores, Targets

Activation: TypeAlias = Literal["softmax", "sigmoid"]
ACTIVATIONS: Final = ("softmax", "sigmoid")
Offer: TypeAlias = Literal["probability", "rivals", "classes"]


class Target(ABC):
    """The value that is explained: one number per image, computed from what the network returns.

    A target is made for a batch of B images. A subclass has a length, takes some of its images, and computes their
    values. It lists in `offers` what else it implements (a probability, the values of other classes). A method or
    metric that needs something else is refused by name.

    Attributes:
        offers: Which of `"probability"`, `"rivals"` and `"classes"` the target has.
        classes: The class of each image (B,), where the target is that of one class.

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
    classes: Targets | None = None

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

    def least_likely(self, logits: Logits) -> "Target":
        """Return the target of the class with the lowest of the logits (B, K), other than the target's own.

        Raises:
            TypeError: If the target is not one of several classes.
        """
        raise self._refusal("classes", type(self).__name__)

    def strongest(self, output: Any) -> Scores:
        """Return a value for images that are not the target's own (B,): layers are looked for with it."""
        return self.value(output)

    def digest(self, output: Any) -> tuple["Target", Tensor]:
        """Return a target and a smaller output, a row an image, that have the same values, probabilities and logits.

        Scores are computed of it, since the outputs for all changed images would take too much memory.
        """
        columns = [self.value(output)]
        if "probability" in self.offers:
            columns += [self.probability(output, activation) for activation in ACTIVATIONS]
        return _Digest(len(self), "probability" in self.offers), torch.stack(columns, dim=1)

    @property
    def is_complete(self) -> bool:
        """Whether values can be computed, or `completed` has to choose something by the intact images first."""
        return True

    def joined(self, others: "Sequence[Target]") -> "Target":
        """Return the target of the images of this one and of others of its kind.

        Raises:
            TypeError: If there are others that it cannot be joined with.
        """
        if others:
            raise TypeError(f"`targets` must have a method `joined` to be completed in parts, but got {self!r}.")
        return self

    def completed(self, output: Any, labels: Tensor | None = None) -> "Target":
        """Return the target with what it leaves open chosen by the output for the intact images, or by their labels."""
        return self

    def of(self, batch_size: int) -> Self:
        """Return the target of this number of images.

        Raises:
            ValueError: If it is made for another number.
        """
        if len(self) != batch_size:
            raise ValueError(f"`targets` must be made for {batch_size} images, but got {self!r} for {len(self)}.")
        return self

    @property
    def argument(self) -> Any:
        """The argument `targets` of a user's function."""
        return self

    @property
    def texts(self) -> list[str]:
        """The subject of each image's explanation, in a word or two for tables and captions."""
        return [type(self).__name__] * len(self)

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
            f"`targets` must have {offer} for {member}, but got {type(self).__name__}, which has none.  "
            "Leave the member out, or pass class indices (B,)."
        )


class _Digest(Target):
    """Reads values, and perhaps probabilities by activation, from the columns of a matrix."""

    def __init__(self, size: int, has_probability: bool) -> None:
        self.size = size
        self.has_probability = has_probability

    def __len__(self) -> int:
        return self.size

    def take(self, rows: Tensor) -> "_Digest":
        return _Digest(len(rows), self.has_probability)

    def value(self, output: Any) -> Scores:
        values: Scores = output[:, 0]
        return values

    def probability(self, output: Any, activation: Activation = "softmax") -> Scores:
        probabilities: Scores = output[:, 1 + ACTIVATIONS.index(activation)]
        return probabilities
