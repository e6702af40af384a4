"""How few pixels carry a map: sparseness, complexity and effective complexity."""

import torch
from torch import Tensor

from lightning_saliency._checks import check_number
from lightning_saliency._exact import exact
from lightning_saliency._types import Maps
from lightning_saliency.metrics._metric import ExplanationMetric
from lightning_saliency.passes.trials import Measured, Trial


class Sparseness(ExplanationMetric):
    """Gini index of the maps' magnitudes: 0 where all are equal, 1 - 1/N where one of N is not zero.

    Higher is better. Scaling a map changes nothing, shifting it does, and the model does not enter. A map of
    zeros scores 0.

    Args:
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> maps = torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 5.0]]])
        >>> Sparseness().scores(torch.nn.Flatten(), torch.rand(2, 1, 2, 2), maps, torch.tensor([0, 0]))
        tensor([0.0000, 0.7500])

    References:
        Chalasani et al., "Concise Explanations of Neural Networks", 2020. https://arxiv.org/abs/1810.06583
    """

    higher_is_better = True
    name = "sparseness"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        ascending = _shares(trial.maps).sort(dim=1).values
        count = ascending.shape[1]
        places = torch.arange(1, count + 1, dtype=ascending.dtype, device=ascending.device)
        return Measured((ascending @ ((2 * places - count - 1) / count)).clamp(min=0).to(trial.maps.dtype))


class Complexity(ExplanationMetric):
    """Entropy of the maps' magnitudes in nats: from 0 for one pixel to ln N where all N are equal.

    Lower is better. Scaling a map changes nothing, shifting it does, and the model does not enter. A map of
    zeros scores ln N, as any constant one.

    Args:
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> maps = torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 5.0]]])
        >>> Complexity().scores(torch.nn.Flatten(), torch.rand(2, 1, 2, 2), maps, torch.tensor([0, 0]))
        tensor([1.3863, 0.0000])

    References:
        Bhatt et al., "Evaluating and Aggregating Feature-based Model Explanations", 2020.
        https://arxiv.org/abs/2005.00631
    """

    higher_is_better = False
    name = "complexity"
    plot_lower_bound = 0.0

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        return Measured(torch.special.entr(_shares(trial.maps)).sum(dim=1).to(trial.maps.dtype))


class EffectiveComplexity(ExplanationMetric):
    """Share of the pixels whose magnitude exceeds a fraction of the map's greatest, in [0, 1].

    Lower is better; times the number of pixels it is the count of the paper. Scaling a map changes nothing,
    shifting it does, and the model does not enter. A map of zeros scores 0. Maps that are dense by
    construction, such as gradients, all score about 1 at the usual threshold.

    Args:
        threshold: Fraction of the greatest magnitude below which a pixel does not count.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If `threshold` does not lie in [0, 1).

    Example:
        >>> import torch
        >>> maps = torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 5.0]]])
        >>> EffectiveComplexity().scores(torch.nn.Flatten(), torch.rand(2, 1, 2, 2), maps, torch.tensor([0, 0]))
        tensor([1.0000, 0.2500])

    References:
        Nguyen and Martinez, "On quantitative aspects of model interpretability", 2020.
        https://arxiv.org/abs/2007.07584
    """

    higher_is_better = False
    name = "effective_complexity"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    threshold: float = 1e-5

    def check(self) -> None:
        """Refuse a threshold outside [0, 1)."""
        super().check()
        check_number("threshold", self.threshold, minimum=0, below=1)

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        magnitudes = trial.maps.flatten(1).abs()
        exceeding = magnitudes > self.threshold * magnitudes.amax(dim=1, keepdim=True)
        return Measured(exceeding.to(trial.maps.dtype).mean(dim=1))


def _shares(maps: Maps) -> Tensor:
    """Return each pixel's share of the magnitude (B, N) in double precision; equal shares for a map of zeros."""
    magnitudes = exact(maps.flatten(1).abs())
    total = magnitudes.sum(dim=1, keepdim=True)
    return torch.where(total > 0, magnitudes / torch.where(total > 0, total, 1.0), 1 / magnitudes.shape[1])
