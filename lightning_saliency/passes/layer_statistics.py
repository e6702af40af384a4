"""What is kept of a layer's gradients along a stream pooled over positions or not."""

from dataclasses import dataclass

from torch import Tensor

from lightning_saliency.passes.statistics import OfTarget, Part, Seen, part_of


@dataclass(frozen=True)
class MeanCAM(OfTarget):
    """Weighted mean of each point's own class activation map: gradients pooled over positions, times activation."""

    part: Part = "signed"

    def update(self, state: Tensor | None, seen: Seen) -> Tensor:
        """Add the point's weighted map."""
        weights = pooled(part_of(seen.gradient, self.part))
        term = (weights * seen.activation).sum(dim=1).relu() * seen.weight
        return term if state is None else state.add_(term)

    def value(self, state: Tensor) -> Tensor:
        """Return the mean map (B, *grid)."""
        return state


@dataclass(frozen=True)
class MeanLayerContribution(OfTarget):
    """Weighted mean of gradient times movement, the gradient averaged over positions first if it is to be pooled."""

    pool: bool = False

    def update(self, state: Tensor | None, seen: Seen) -> Tensor:
        """Add the weighted product."""
        if seen.direction is None:
            raise TypeError("Expected points on a path, but got points without direction: read a mean gradient.")
        gradient = pooled(seen.gradient) if self.pool else seen.gradient
        term = gradient * seen.direction * seen.weight
        return term if state is None else state.add_(term)

    def value(self, state: Tensor) -> Tensor:
        """Return the mean."""
        return state


def pooled(gradient: Tensor) -> Tensor:
    """Average over positions, (B, K, *grid) -> (B, K, 1...)."""
    return gradient.mean(dim=tuple(range(2, gradient.ndim)), keepdim=True)
