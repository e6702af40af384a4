"""What is kept of a stream of gradients: running values, never a stack of samples."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

Rivals: TypeAlias = Literal["all"] | int | None


class Seen(NamedTuple):
    """What one backward pass showed at one point of every image.

    Attributes:
        gradient: Gradient of a logit with respect to the input or a layer's output, (B, ...).
        activation: The input or the layer's output itself, (B, ...).
        score: The target's logit, (B,).
        weight: What the point counts in an average.
        direction: How the input moves along the path here, if there is a path.
        rival: 0 for the target's logit, j for the j-th of the other classes.
    """

    gradient: Tensor
    activation: Tensor
    score: Tensor
    weight: float
    direction: Tensor | None
    rival: int


@runtime_checkable
class Statistic(Protocol):
    """A running value: `update` folds in what was seen, `value` reads it out at the end.

    Attributes:
        rivals: Which other classes' gradients it must see at each point: none, all, or the k with the
            highest logits.
    """

    @property
    def rivals(self) -> Rivals:
        """Which other classes' gradients are wanted."""

    def update(self, state: Any, seen: Seen) -> Any:
        """Fold in one observation; the first comes with `state=None`. The state may be reused in place."""

    def value(self, state: Any) -> Any:
        """Read the result."""


@dataclass(frozen=True)
class OfTarget:
    """Base of the statistics that look at the target's logit only."""

    @property
    def rivals(self) -> Rivals:
        """None."""
        return None


@dataclass(frozen=True)
class Mean(OfTarget):
    """Weighted mean of the gradients."""

    def update(self, state: Tensor | None, seen: Seen) -> Tensor:
        """Add the weighted gradient."""
        return _add(state, seen.gradient * seen.weight)

    def value(self, state: Tensor) -> Tensor:
        """Return the mean."""
        return state


@dataclass(frozen=True)
class MeanMagnitude(OfTarget):
    """Weighted mean of the gradients' magnitudes: opposite signs do not cancel."""

    def update(self, state: Tensor | None, seen: Seen) -> Tensor:
        """Add the weighted magnitude."""
        return _add(state, seen.gradient.abs() * seen.weight)

    def value(self, state: Tensor) -> Tensor:
        """Return the mean."""
        return state


class _Moments(NamedTuple):
    samples: int
    mean: Tensor
    squares: Tensor


@dataclass(frozen=True)
class Variance(OfTarget):
    """Unbiased variance of the signed gradients, by Welford's update; zero for a single sample.

    What is below the rounding error of the gradients themselves is zero, so that equal gradients have no
    variance whatever batches they were computed in.
    """

    def update(self, state: _Moments | None, seen: Seen) -> _Moments:
        """Fold in one gradient."""
        if state is None:
            return _Moments(1, seen.gradient.clone(), torch.zeros_like(seen.gradient))
        count = state.samples + 1
        gap = seen.gradient - state.mean
        mean = state.mean.add_(gap, alpha=1 / count)
        return _Moments(count, mean, state.squares.addcmul_(gap, seen.gradient - mean))

    def value(self, state: _Moments) -> Tensor:
        """Return the variance."""
        variance = state.squares / max(state.samples - 1, 1)
        rounding = (16 * torch.finfo(variance.dtype).eps) ** 2 * state.mean.square()
        return torch.where(variance <= rounding, 0.0, variance)


@dataclass(frozen=True)
class Activation(OfTarget):
    """The input's or layer's own values, averaged over the points."""

    def update(self, state: Tensor | None, seen: Seen) -> Tensor:
        """Add the weighted activation."""
        return _add(state, seen.activation * seen.weight)

    def value(self, state: Tensor) -> Tensor:
        """Return the mean."""
        return state


def _add(state: Tensor | None, term: Tensor) -> Tensor:
    return term if state is None else state.add_(term)
