"""What is kept of a stream of gradients: running values, never a stack of samples."""

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

Rivals: TypeAlias = Literal["all"] | int | None
Part: TypeAlias = Literal["signed", "positive", "negative", "absolute"]
PARTS: Final = ("signed", "positive", "negative", "absolute")


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
    """Weighted mean of the gradients, or of one part of each."""

    part: Part = "signed"

    def update(self, state: Tensor | None, seen: Seen) -> Tensor:
        """Add the weighted gradient."""
        return _add(state, part_of(seen.gradient, self.part) * seen.weight)

    def value(self, state: Tensor) -> Tensor:
        """Return the mean."""
        return state


@dataclass(frozen=True)
class MeanSquare(OfTarget):
    """Weighted mean of the gradients' squares, or of those of one part of each."""

    part: Part = "signed"

    def update(self, state: Tensor | None, seen: Seen) -> Tensor:
        """Add the weighted square."""
        return _add(state, part_of(seen.gradient, self.part).square() * seen.weight)

    def value(self, state: Tensor) -> Tensor:
        """Return the mean."""
        return state


@dataclass(frozen=True)
class MeanCube(OfTarget):
    """Weighted mean of the gradients' third powers."""

    def update(self, state: Tensor | None, seen: Seen) -> Tensor:
        """Add the weighted cube."""
        return _add(state, seen.gradient.pow(3) * seen.weight)

    def value(self, state: Tensor) -> Tensor:
        """Return the mean."""
        return state


@dataclass(frozen=True)
class MeanTimesScore(OfTarget):
    """Weighted mean of the gradients times the target's logit, or its magnitude: what flows back from there."""

    magnitude: bool = False

    def update(self, state: Tensor | None, seen: Seen) -> Tensor:
        """Add the weighted product."""
        start = seen.score.abs() if self.magnitude else seen.score
        score = start.to(seen.gradient.dtype).reshape(-1, *[1] * (seen.gradient.ndim - 1))
        return _add(state, seen.gradient * score * seen.weight)

    def value(self, state: Tensor) -> Tensor:
        """Return the mean."""
        return state


class _Moments(NamedTuple):
    samples: int
    mean: Tensor
    squares: Tensor


@dataclass(frozen=True)
class Variance(OfTarget):
    """Unbiased variance of the gradients or of one part of each, by Welford's update; zero for a single sample.

    What is below the rounding error of the gradients themselves is zero, so that equal gradients have no
    variance whatever batches they were computed in.
    """

    part: Part = "signed"

    def update(self, state: _Moments | None, seen: Seen) -> _Moments:
        """Fold in one gradient."""
        gradient = part_of(seen.gradient, self.part)
        if state is None:
            return _Moments(1, gradient.clone(), torch.zeros_like(gradient))
        count = state.samples + 1
        gap = gradient - state.mean
        mean = state.mean.add_(gap, alpha=1 / count)
        return _Moments(count, mean, state.squares.addcmul_(gap, gradient - mean))

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


class Extrema(NamedTuple):
    """The target's gradient beside the lowest and the highest one of its rivals, each (B, C, *S)."""

    target: Tensor
    lowest: Tensor
    highest: Tensor


@dataclass(frozen=True)
class RivalExtrema:
    """Running extrema of the gradients of other classes at a single point: memory does not grow with classes."""

    rivals: Rivals

    def update(self, state: Extrema | None, seen: Seen) -> Extrema:
        """Keep the target's gradient, which comes first, then fold in one rival's."""
        if state is None:
            bound = torch.full_like(seen.gradient, torch.inf)
            return Extrema(seen.gradient, bound, -bound)
        lowest = torch.minimum(state.lowest, seen.gradient, out=state.lowest)
        return Extrema(state.target, lowest, torch.maximum(state.highest, seen.gradient, out=state.highest))

    def value(self, state: Extrema) -> Extrema:
        """Return the extrema."""
        return state


def part_of(gradient: Tensor, part: Part) -> Tensor:
    """Take a gradient as it is, or the magnitude of its positive or negative part, or its whole magnitude."""
    if part == "signed":
        return gradient
    if part == "absolute":
        return gradient.abs()
    return gradient.relu() if part == "positive" else gradient.clamp(max=0).abs()


def _add(state: Tensor | None, term: Tensor) -> Tensor:
    return term if state is None else state.add_(term)
