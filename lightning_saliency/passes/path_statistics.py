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
