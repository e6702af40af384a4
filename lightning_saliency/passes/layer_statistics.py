"""Running values of a layer's gradients along a stream, pooled over positions or not."""

from dataclasses import dataclass

from torch import Tensor

from lightning_saliency.passes.statistics import Observation, OfTarget, Part, part_of


@dataclass(frozen=True)
class MeanCAM(OfTarget):
    """Weighted mean of the points' class activation maps: gradients pooled over positions, times activation."""

    part: Part = "signed"

    def update(self, state: Tensor | None, observation: Observation) -> Tensor:
        """Add the point's weighted map."""
        weights = pooled(part_of(observation.gradient, self.part))
        term = (weights * observation.activation).sum(dim=1).relu() * observation.weight
        return term if state is None else state.add_(term)

    def value(self, state: Tensor) -> Tensor:
        """Return the mean map (B, *grid)."""
        return state


@dataclass(frozen=True)
class MeanLayerContribution(OfTarget):
    """Weighted mean of gradient times movement; with `pool` the gradient is averaged over positions first."""

    pool: bool = False

    def update(self, state: Tensor | None, observation: Observation) -> Tensor:
        """Add the weighted product."""
        if observation.direction is None:
            raise TypeError("Expected points on a path, but got points without direction: read a mean gradient.")
        gradient = pooled(observation.gradient) if self.pool else observation.gradient
        term = gradient * observation.direction * observation.weight
        return term if state is None else state.add_(term)

    def value(self, state: Tensor) -> Tensor:
        """Return the mean."""
        return state


def pooled(gradient: Tensor) -> Tensor:
    """Average over positions, (B, K, *grid) -> (B, K, 1...)."""
    return gradient.mean(dim=tuple(range(2, gradient.ndim)), keepdim=True)
