"""Class sensitivity: does the map change when another class is explained?"""

from typing import Any, Final, Literal, TypeAlias

import torch

from lightning_saliency._checks import check_choice
from lightning_saliency._types import Images, Maps, Model, Scores, Targets
from lightning_saliency.metrics._metric import ExplanationMetric
from lightning_saliency.metrics._scoring import scores_of
from lightning_saliency.metrics._similarity import spearman, ssim
from lightning_saliency.passes.trials import Measured, Trial, again_of

Similarity: TypeAlias = Literal["spearman", "ssim"]
SIMILARITIES: Final = {"spearman": spearman, "ssim": ssim}


def class_sensitivity(
    model: Model,
    images: Images,
    maps: Maps,
    targets: Targets,
    *,
    method: Any,
    similarity: Similarity = "spearman",
    max_batch_size: int = 64,
) -> Scores:
    """Similarity of the target's map and the map of the class that the model thinks least likely.

    In [-1, 1], lower is better: a method that ignores the class scores 1. Raw maps are compared by rank
    correlation, or normalised ones by structural similarity. Where the target itself is the least likely
    class, it is compared with the next. Scaling all maps changes nothing.

    Cost: once that of `method`, its passes shared with the other methods in `score`, and a forward of the image.

    Args:
        model: Model with one row of logits per image.
        images: Images (B, C, *S) in the model's input space.
        maps: Raw maps (B, *S).
        targets: Target classes (B,).
        method: What made the maps.
        similarity: `"spearman"` on raw maps, or `"ssim"` on normalised ones.
        max_batch_size: Most images in one pass.

    Returns:
        Scores (B,).

    Raises:
        TypeError: If an argument is not of the kind expected.
        ValueError: If shapes disagree, maps are not finite, or a choice is unknown.

    Example:
        >>> import torch
        >>> from lightning_saliency.methods import EdgeMap
        >>> images = torch.rand(2, 1, 4, 4)
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
        >>> targets = torch.tensor([0, 1])
        >>> class_sensitivity(model, images, EdgeMap()(model, images), targets, method=EdgeMap())
        tensor([1., 1.])

    References:
        Khakzar et al., "Rethinking Positive Aggregation and Propagation of Gradients in Gradient-based
        Saliency Methods", 2020. https://arxiv.org/abs/2012.00362
    """
    metric = ClassSensitivity(similarity)
    return scores_of(metric, model, images, maps, targets, method=method, max_batch_size=max_batch_size)


class ClassSensitivity(ExplanationMetric):
    """Mean `class_sensitivity` over images, in [-1, 1], lower is better.

    Args:
        similarity: `"spearman"` on raw maps, or `"ssim"` on normalised ones.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If `similarity` is unknown.

    Example:
        >>> ClassSensitivity().needs
        ('methods',)
    """

    higher_is_better = False
    name = "class_sensitivity"
    plot_lower_bound = -1.0
    plot_upper_bound = 1.0
    needs: tuple[str, ...] = ("methods",)

    def __init__(self, similarity: Similarity = "spearman", *, name: str | None = None, **kwargs: Any) -> None:
        check_choice("similarity", similarity, SIMILARITIES)
        super().__init__(options=(similarity,), name=name, **kwargs)
        self.similarity: Similarity = similarity

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        # All methods explain the other class together, so that they share their passes.
        others = trial.predict.share(("least likely class",), lambda: self._others(trial))
        return Measured(SIMILARITIES[self.similarity](trial.maps, others[trial.name].to(trial.maps)))

    def _others(self, trial: Trial) -> dict[str, Maps]:
        return dict(again_of(trial, self.name)(trial.images, targets=least_likely(trial)))


def least_likely(trial: Trial) -> Targets:
    """Find each image's class of the lowest logit that is not the target."""
    (logits,) = trial.predict([trial.predict.intact])
    found: Targets = logits.scatter(1, trial.targets[:, None], torch.inf).argmin(dim=1)
    return found
