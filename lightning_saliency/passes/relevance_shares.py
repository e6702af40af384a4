"""How one layer deals relevance out to its inputs, in proportion to what these contributed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

Kind: TypeAlias = Literal["epsilon", "z_plus", "alpha_beta", "epsilon_plus"]


class Term(NamedTuple):
    """A part of an input, and the linear function through which it contributes."""

    part: Tensor
    function: Callable[[Tensor], Tensor]


Terms: TypeAlias = Callable[[], list[Term]]


@dataclass(frozen=True)
class Shares:
    """One layer: its terms, the positive and the negative ones, and the output that they and the bias sum to.

    Terms are made when relevance arrives, so that a forward keeps no more than the layer's input.
    """

    kind: Kind
    epsilon: float
    alpha: float
    whole: Terms
    positive: Terms
    negative: Terms
    total: Tensor

    def of(self, relevance: Tensor) -> list[list[Tensor]]:
        """Deal relevance out; one list of shares of the terms for each group of terms."""
        if self.kind == "epsilon":
            away = torch.where(self.total < 0, -self.epsilon, self.epsilon)
            return [_dealt(self.whole(), relevance / (self.total + away))]
        positive = self.positive()
        above = _sum(positive)
        if self.kind == "z_plus":
            return [_dealt(positive, _ratio(relevance, above))]
        negative = self.negative()
        below = _sum(negative)
        gains = torch.where(below == 0, 1.0, self.alpha)
        losses = torch.where(above == 0, 1.0, 1 - self.alpha)
        return [
            _dealt(positive, _ratio(relevance * gains, above)),
            _dealt(negative, _ratio(relevance * losses, below)),
        ]


def _dealt(terms: list[Term], per_unit: Tensor) -> list[Tensor]:
    """Multiply each term's part by what flows back to it."""
    shares = []
    for part, function in terms:
        with torch.enable_grad():
            inner = part.detach().requires_grad_()
            (flowing,) = torch.autograd.grad(function(inner), inner, per_unit)
        shares.append(part * flowing)
    return shares


def _sum(terms: list[Term]) -> Tensor:
    with torch.no_grad():
        return torch.stack([function(part) for part, function in terms]).sum(dim=0)


def _ratio(relevance: Tensor, total: Tensor) -> Tensor:
    return torch.where(total == 0, 0.0, relevance / torch.where(total == 0, 1.0, total))
