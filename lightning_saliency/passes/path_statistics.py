"""Running values of gradients along a path: contributions of each step to the target's value."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_saliency._types import per_image
from lightning_saliency.passes.statistics import Observation, OfTarget, Part, part_of


@dataclass(frozen=True)
class MeanContribution(OfTarget):
    """Weighted mean of gradient times movement, or of one part of each step's product."""

    part: Part = "signed"

    def update(self, state: Tensor | None, observation: Observation) -> Tensor:
        """Add the weighted product."""
        if observation.direction is None:
            raise TypeError("Expected points on a path, but got points without direction: read a mean gradient.")
        term = part_of(observation.gradient * observation.direction, self.part) * observation.weight
        return term if state is None else state.add_(term)

    def value(self, state: Tensor) -> Tensor:
        """Return the mean."""
        return state


class Accounted(NamedTuple):
    """The sum of the contributions, and about how much the target's value changes on the path, each (B,)."""

    total: Tensor
    change: Tensor


class _Ends(NamedTuple):
    first: Tensor
    last: Tensor
    total: Tensor


@dataclass(frozen=True)
class AccountedChange(OfTarget):
    """The sum of all contributions beside the change of the target's value, which costs no further pass.

    The change is that between the first and the last point, and to both ends as much as the slopes there say.

    Attributes:
        outside: Shares of the path before the first and after the last point.
    """

    outside: tuple[float, float]

    def update(self, state: _Ends | None, observation: Observation) -> _Ends:
        """Add the contributions, and go on to the next point."""
        slope = _slope(observation)
        score, term = observation.score.to(slope.dtype), slope * observation.weight
        before, after = self.outside
        last = score + slope * after
        if state is None:
            return _Ends(score - slope * before, last, term)
        return _Ends(state.first, last, state.total + term)

    def value(self, state: _Ends) -> Accounted:
        """Return both."""
        return Accounted(state.total, state.last - state.first)


def _slope(observation: Observation) -> Tensor:
    """Return the derivative of the target's value along the path, (B,)."""
    if observation.direction is None:
        raise TypeError("Expected points on a path, but got points without direction: read a mean gradient.")
    return (observation.gradient * observation.direction).flatten(1).sum(dim=1)


class _Step(NamedTuple):
    shares: Tensor
    score: Tensor
    total: Tensor


@dataclass(frozen=True)
class ImportantDirections(OfTarget):
    """Change of the target's value from point to point, distributed by the squared gradient at the earlier one.

    Points must come in the path's order, both ends included. If the gradient vanishes everywhere at the start of a
    step, that step distributes nothing.
    """

    part: Part = "signed"

    def update(self, state: _Step | None, observation: Observation) -> _Step:
        """Distribute the change since the last point."""
        score = observation.score.to(observation.gradient.dtype)
        shares = _shares(observation.gradient)
        if state is None:
            return _Step(shares, score, torch.zeros_like(shares))
        change = per_image(score - state.score, shares)
        return _Step(shares, score, state.total.add_(part_of(state.shares * change, self.part)))

    def value(self, state: _Step) -> Tensor:
        """Return the sum over steps."""
        return state.total


def _shares(gradient: Tensor) -> Tensor:
    """Squares that sum to one in each image; scaled first, since squares of small gradients underflow."""
    positions = tuple(range(1, gradient.ndim))
    largest = gradient.abs().amax(dim=positions, keepdim=True)
    squares = (gradient / torch.where(largest == 0, 1.0, largest)).square()
    total = squares.sum(dim=positions, keepdim=True)
    return squares / torch.where(total == 0, 1.0, total)
