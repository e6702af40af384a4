"""Completeness gap: does the attribution account for the logit, as the method promises?"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from lightning_saliency._types import Images, Maps, Model, Scores, Targets
from lightning_saliency.metrics._metric import ExplanationMetric
from lightning_saliency.metrics._scoring import scores_of
from lightning_saliency.passes.predictions import Change
from lightning_saliency.passes.trials import Measured, Trial


def completeness_gap(
    model: Model, images: Images, maps: Maps, targets: Targets, *, method: Any, max_batch_size: int = 64
) -> Scores:
    """Distance between the sum of a method's signed attribution and what it promises to sum to, relative to logits.

    |sum - (f(x) - f(baseline))| / (|f(x)| + |f(baseline)|), f the target's logit: from 0, lower is better. The
    logits and not their difference are the scale, since that may be as small as rounding errors. A method
    promises completeness by having `attribute(model, images, targets)` and `baselines(images)`, a tuple of
    baselines whose logits are averaged, empty where the whole logit is accounted for. Where there are none, or
    these are None, scores are NaN: a metric leaves the images out and counts them. Maps play no part.

    Cost: once that of `method`, and a forward of the image and of each baseline.

    Args:
        model: Model with one row of logits per image.
        images: Images (B, C, *S) in the model's input space.
        maps: Raw maps (B, *S).
        targets: Target classes (B,).
        method: What made the maps.
        max_batch_size: Most images in one pass.

    Returns:
        Scores (B,).

    Raises:
        TypeError: If an argument is not of the kind expected.
        ValueError: If shapes disagree, maps are not finite, or a choice is unknown.

    Example:
        >>> import torch
        >>> from lightning_saliency.methods import IntegratedGradients
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
        >>> images, targets = torch.rand(2, 1, 4, 4), torch.tensor([0, 1])
        >>> gap = completeness_gap(model, images, images[:, 0], targets, method=IntegratedGradients(4))
        >>> bool((gap < 1e-3).all())
        True

    References:
        Sundararajan et al., "Axiomatic Attribution for Deep Networks", 2017. https://arxiv.org/abs/1703.01365
    """
    return scores_of(CompletenessGap(), model, images, maps, targets, method=method, max_batch_size=max_batch_size)


class CompletenessGap(ExplanationMetric):
    """Mean `completeness_gap` over images, from 0, lower is better.

    Args:
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> CompletenessGap().needs
        ('methods',)
    """

    higher_is_better = False
    name = "completeness_gap"
    plot_lower_bound = 0.0
    needs: tuple[str, ...] = ("methods",)

    def __init__(self, *, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of attributions."""
        method: Any = trial.method
        promise = method.baselines(trial.images) if hasattr(method, "baselines") else None
        if promise is None or not hasattr(method, "attribute"):
            return Measured(trial.maps.flatten(1)[:, 0].new_full((len(trial.images),), torch.nan))
        # A chunk of images is as large as a pass may be.
        attribution = method.attribute(
            trial.predict.model, trial.images, trial.targets, max_batch_size=trial.predict.max_batch_size
        )
        own, baseline = self._logits(trial, promise)
        gap = (attribution.flatten(1).sum(dim=1).to(own) - (own - baseline)).abs()
        scale = own.abs() + baseline.abs()
        return Measured(gap / torch.where(scale == 0, 1.0, scale))

    def _logits(self, trial: Trial, baselines: tuple[Images, ...]) -> tuple[Scores, Scores]:
        changes = [
            Change(("baseline of", trial.name, index), partial(baselines.__getitem__, index))
            for index in range(len(baselines))
        ]
        own, *others = (_of(trial, logits) for logits in trial.predict([trial.predict.intact, *changes]))
        return own, torch.stack(others).mean(dim=0) if others else torch.zeros_like(own)


def _of(trial: Trial, logits: Tensor) -> Scores:
    return logits.gather(1, trial.targets[:, None])[:, 0]
