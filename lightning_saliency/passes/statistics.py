"""Running values of a stream of gradients, never a stack of samples."""

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from lightning_saliency._types import per_image

Rivals: TypeAlias = Literal["all"] | int | None
Part: TypeAlias = Literal["signed", "positive", "negative", "absolute"]
PARTS: Final = ("signed", "positive", "negative", "absolute")


class Observation(NamedTuple):
    """Result of one backward pass at one point of every image.

    Attributes:
        gradient: Gradient of a value with respect to the input or a layer's output, (B, ...).
        activation: The input or the layer's output itself, (B, ...).
        score: The target's value, (B,).
        weight: Weight of the point in an average.
        direction: How the input moves along the path here, if there is a path.
        rival: 0 for the target's value, j for that of the j-th of the other classes.
    """

    gradient: Tensor
    activation: Tensor
    score: Tensor
    weight: float
    direction: Tensor | None
    rival: int


@runtime_checkable
class Statistic(Protocol):
    """A running value: `update` adds one observation, `value` returns the result at the end.

    Attributes:
        rivals: Which other classes' gradients it reads at each point: none, all, or the k with the
            highest values.
    """

    @property
    def rivals(self) -> Rivals:
        """Which other classes' gradients are read."""

    def update(self, state: Any, observation: Observation) -> Any:
        """Add one observation; the first comes with `state=None`. The state may be reused in place."""

    def value(self, state: Any) -> Any:
        """Return the result."""


@dataclass(frozen=True)
class OfTarget:
    """Base of the statistics that read the target's gradients only."""

    @property
    def rivals(self) -> Rivals:
        """None."""
        return None


@dataclass(frozen=True)
class Mean(OfTarget):
    """Weighted mean of the gradients, or of one part of each.

    Attributes:
        part: The part that counts: `"signed"`, `"positive"`, `"negative"` or `"absolute"`.

    Example:
        >>> from lightning_saliency.extend import Clean, Reading
        >>> Reading(Clean(), Mean("absolute")).statistic
        Mean(part='absolute')
    """

    part: Part = "signed"

    def update(self, state: Tensor | None, observation: Observation) -> Tensor:
        """Add the weighted gradient."""
        return _add(state, part_of(observation.gradient, self.part) * observation.weight)

    def value(self, state: Tensor) -> Tensor:
        """Return the mean."""
        return state


@dataclass(frozen=True)
class MeanSquare(OfTarget):
    """Weighted mean of the gradients' squares, or of those of one part of each.

    Attributes:
        part: The part that counts: `"signed"`, `"positive"`, `"negative"` or `"absolute"`.

    Example:
        >>> from lightning_saliency.extend import Clean, Reading
        >>> Reading(Clean(), MeanSquare("absolute")).statistic
        MeanSquare(part='absolute')
    """

    part: Part = "signed"

    def update(self, state: Tensor | None, observation: Observation) -> Tensor:
        """Add the weighted square."""
        return _add(state, part_of(observation.gradient, self.part).square() * observation.weight)

    def value(self, state: Tensor) -> Tensor:
        """Return the mean."""
        return state


@dataclass(frozen=True)
class MeanCube(OfTarget):
    """Weighted mean of the gradients' third powers."""

    def update(self, state: Tensor | None, observation: Observation) -> Tensor:
        """Add the weighted cube."""
        return _add(state, observation.gradient.pow(3) * observation.weight)

    def value(self, state: Tensor) -> Tensor:
        """Return the mean."""
        return state


@dataclass(frozen=True)
class MeanTimesScore(OfTarget):
    """Weighted mean of the gradients times the target's value, or its magnitude: what flows back from there."""

    magnitude: bool = False

    def update(self, state: Tensor | None, observation: Observation) -> Tensor:
        """Add the weighted product."""
        start = observation.score.abs() if self.magnitude else observation.score
        score = per_image(start.to(observation.gradient.dtype), observation.gradient)
        return _add(state, observation.gradient * score * observation.weight)

    def value(self, state: Tensor) -> Tensor:
        """Return the mean."""
        return state


@dataclass(frozen=True)
class MeanScore(OfTarget):
    """Weighted mean of the target's value, (B,)."""

    def update(self, state: Tensor | None, observation: Observation) -> Tensor:
        """Add the weighted value."""
        return _add(state, observation.score * observation.weight)

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

    A variance below the rounding error of the gradients themselves is set to zero, so that equal gradients have
    no variance whatever batches they were computed in.

    Attributes:
        part: The part that counts: `"signed"`, `"positive"`, `"negative"` or `"absolute"`.

    Example:
        >>> from lightning_saliency.extend import Clean, Reading
        >>> Reading(Clean(), Variance("absolute")).statistic
        Variance(part='absolute')
    """

    part: Part = "signed"

    def update(self, state: _Moments | None, observation: Observation) -> _Moments:
        """Add one gradient."""
        gradient = part_of(observation.gradient, self.part)
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
    """Weighted mean of the values of the input or the layer over the points."""

    def update(self, state: Tensor | None, observation: Observation) -> Tensor:
        """Add the weighted activation."""
        return _add(state, observation.activation * observation.weight)

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

    def update(self, state: Extrema | None, observation: Observation) -> Extrema:
        """Keep the target's gradient, which comes first, then compare with one rival's."""
        if state is None:
            bound = torch.full_like(observation.gradient, torch.inf)
            return Extrema(observation.gradient, bound, -bound)
        lowest = torch.minimum(state.lowest, observation.gradient, out=state.lowest)
        return Extrema(state.target, lowest, torch.maximum(state.highest, observation.gradient, out=state.highest))

    def value(self, state: Extrema) -> Extrema:
        """Return the extrema."""
        return state


def part_of(gradient: Tensor, part: Part) -> Tensor:
    """Take a gradient as it is, its magnitude, or the magnitude of its positive or negative part."""
    if part == "signed":
        return gradient
    if part == "absolute":
        return gradient.abs()
    return gradient.relu() if part == "positive" else gradient.clamp(max=0).abs()


def _add(state: Tensor | None, term: Tensor) -> Tensor:
    return term if state is None else state.add_(term)
