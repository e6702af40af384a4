"""Class sensitivity: does the map change when another class is explained?"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from lightning_saliency._checks import check_choice
from lightning_saliency._types import Maps
from lightning_saliency.metrics._metric import ExplanationMetric
from lightning_saliency.metrics._similarity import spearman, ssim
from lightning_saliency.passes.changes import Intact
from lightning_saliency.passes.trials import Measured, Shared, Trial
from lightning_saliency.targets import Offer

Similarity: TypeAlias = Literal["spearman", "ssim"]
SIMILARITIES: Final = {"spearman": spearman, "ssim": ssim}


class ClassSensitivity(ExplanationMetric):
    """Similarity of the target's map and the map of the class that the model thinks least likely.

    In [-1, 1], lower is better: a method that ignores the class scores 1. Raw maps are compared by rank
    correlation, or normalised ones by structural similarity. Where the target itself is the least likely
    class, it is compared with the next. Scaling all maps changes nothing.

    Cost: once that of `method`, its passes shared with the other methods in `score`, and a forward of the image.

    Args:
        similarity: `"spearman"` on raw maps, or `"ssim"` on normalised ones.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If `similarity` is unknown.

    Example:
        >>> import torch
        >>> from lightning_saliency.methods import EdgeMap
        >>> images = torch.rand(2, 1, 4, 4)
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
        >>> maps, targets = EdgeMap()(model, images), torch.tensor([0, 1])
        >>> ClassSensitivity().scores(model, images, maps, targets, method=EdgeMap())
        tensor([1., 1.])
        >>> ClassSensitivity().needs
        ('methods',)

    References:
        Khakzar et al., "Rethinking Positive Aggregation and Propagation of Gradients in Gradient-based
        Saliency Methods", 2020. https://arxiv.org/abs/2012.00362
    """

    higher_is_better = False
    name = "class_sensitivity"
    plot_lower_bound = -1.0
    plot_upper_bound = 1.0
    needs = ("methods",)

    similarity: Similarity = "spearman"

    def check(self) -> None:
        """Refuse an unknown similarity."""
        super().check()
        check_choice("similarity", self.similarity, SIMILARITIES)

    @property
    def reads(self) -> tuple[Offer, ...]:
        """The logits of all classes."""
        return ("classes",)

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        others = trial.once(_MapsOfLeastLikelyClass())
        return Measured(SIMILARITIES[self.similarity](trial.maps, others[trial.name].to(trial.maps)))


class _MapsOfLeastLikelyClass(Shared):
    """Maps of the class of the lowest logit that is not the target, explained by all methods together."""

    def make(self, trial: Trial) -> Mapping[str, Maps]:
        """Find the classes and explain them."""
        (logits,) = trial.logits([Intact()])
        return trial.explained(trial.images, trial.target.least_likely(logits))
