"""What is kept of gradients along a path: what each step's movement contributes to the logit."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_saliency.passes.statistics import OfTarget, Part, Seen, part_of


@dataclass(frozen=True)
class MeanContribution(OfTarget):
    """Weighted mean of gradient times movement, or of one part of each step's product."""

    part: Part = "signed"

    def update(self, state: Tensor | None, seen: Seen) -> Tensor:
        """Add the weighted product."""
        if seen.direction is None:
            raise TypeError("Expected points on a path, but got points without direction: read a mean gradient.")
        term = part_of(seen.gradient * seen.direction, self.part) * seen.weight
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
    """Change of the logit from point to point, dealt out by the squared gradient at the earlier one.

    Points must come in the path's order, both ends included. A step at whose start the gradient vanishes
    everywhere deals out nothing.
    """

    part: Part = "signed"

    def update(self, state: _Step | None, seen: Seen) -> _Step:
        """Deal out the change since the last point."""
        score = seen.score.to(seen.gradient.dtype)
        shares = _shares(seen.gradient)
        if state is None:
            return _Step(shares, score, torch.zeros_like(shares))
        change = (score - state.score).reshape(-1, *[1] * (shares.ndim - 1))
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
