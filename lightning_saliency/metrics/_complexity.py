"""How few pixels carry a map: sparseness, complexity and effective complexity."""

from typing import Any

import torch

from lightning_saliency._checks import check_number
from lightning_saliency._types import Maps, Scores
from lightning_saliency.metrics._metric import ExplanationMetric
from lightning_saliency.passes.trials import Measured, Trial


def sparseness(maps: Maps) -> Scores:
    """Gini index of the maps' magnitudes: 0 where all are equal, 1 - 1/N where one of N is not zero.

    Higher is better. Scaling a map changes nothing, shifting it does, and the model does not enter. A map of
    zeros scores 0.

    Args:
        maps: Raw maps (B, *S).

    Returns:
        Scores (B,).

    Example:
        >>> import torch
        >>> sparseness(torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 5.0]]]))
        tensor([0.0000, 0.7500])

    References:
        Chalasani et al., "Concise Explanations of Neural Networks", 2020. https://arxiv.org/abs/1810.06583
    """
    ascending = _shares(maps).sort(dim=1).values
    count = ascending.shape[1]
    places = torch.arange(1, count + 1, dtype=ascending.dtype, device=ascending.device)
    return (ascending @ ((2 * places - count - 1) / count)).clamp(min=0).to(maps.dtype)


def complexity(maps: Maps) -> Scores:
    """Entropy of the maps' magnitudes in nats: from 0 for one pixel to ln N where all N are equal.

    Lower is better. Scaling a map changes nothing, shifting it does, and the model does not enter. A map of
    zeros scores ln N, as any constant one.

    Args:
        maps: Raw maps (B, *S).

    Returns:
        Scores (B,).

    Example:
        >>> import torch
        >>> complexity(torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 5.0]]]))
        tensor([1.3863, 0.0000])

    References:
        Bhatt et al., "Evaluating and Aggregating Feature-based Model Explanations", 2020.
        https://arxiv.org/abs/2005.00631
    """
    entropies: Scores = torch.special.entr(_shares(maps)).sum(dim=1)
    return entropies.to(maps.dtype)


def effective_complexity(maps: Maps, *, threshold: float = 1e-5) -> Scores:
    """Share of the pixels whose magnitude exceeds a fraction of the map's greatest, in [0, 1].

    Lower is better; times the number of pixels it is the count of the paper. Scaling a map changes nothing,
    shifting it does, and the model does not enter. A map of zeros scores 0. Maps that are dense by
    construction, such as gradients, all score about 1 at the usual threshold.

    Args:
        maps: Raw maps (B, *S).
        threshold: Fraction of the greatest magnitude below which a pixel does not count.

    Returns:
        Scores (B,).

    Example:
        >>> import torch
        >>> effective_complexity(torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 5.0]]]))
        tensor([1.0000, 0.2500])

    References:
        Nguyen and Martinez, "On quantitative aspects of model interpretability", 2020.
        https://arxiv.org/abs/2007.07584
    """
    magnitudes = maps.flatten(1).abs()
    return (magnitudes > threshold * magnitudes.amax(dim=1, keepdim=True)).to(maps.dtype).mean(dim=1)


class Sparseness(ExplanationMetric):
    """Mean `sparseness` over images, in [0, 1), higher is better.

    Args:
        options: As in `ExplanationMetric`.
        points: As in `ExplanationMetric`.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> Sparseness().name
        'sparseness'
    """

    higher_is_better = True
    name = "sparseness"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        return Measured(sparseness(trial.maps))


class Complexity(ExplanationMetric):
    """Mean `complexity` over images, from 0 to ln N, lower is better.

    Args:
        options: As in `ExplanationMetric`.
        points: As in `ExplanationMetric`.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> Complexity().name
        'complexity'
    """

    higher_is_better = False
    name = "complexity"
    plot_lower_bound = 0.0

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        return Measured(complexity(trial.maps))


class EffectiveComplexity(ExplanationMetric):
    """Mean `effective_complexity` over images, in [0, 1], lower is better.

    Args:
        threshold: Fraction of the greatest magnitude below which a pixel does not count.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If `threshold` does not lie in [0, 1).

    Example:
        >>> EffectiveComplexity(0.1).threshold
        0.1
    """

    higher_is_better = False
    name = "effective_complexity"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(self, threshold: float = 1e-5, *, name: str | None = None, **kwargs: Any) -> None:
        check_number("threshold", threshold, minimum=0, below=1)
        super().__init__(options=(threshold,), name=name, **kwargs)
        self.threshold = threshold

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        return Measured(effective_complexity(trial.maps, threshold=self.threshold))


def _shares(maps: Maps) -> torch.Tensor:
    """Return each pixel's share of the magnitude (B, N) in float64; equal shares for a map of zeros."""
    magnitudes = maps.flatten(1).abs().double()
    total = magnitudes.sum(dim=1, keepdim=True)
    return torch.where(total > 0, magnitudes / torch.where(total > 0, total, 1.0), 1 / magnitudes.shape[1])
