"""Completeness gap: does the attribution account for the logit, as the method promises?"""

from typing import ClassVar

import torch

from lightning_saliency._types import Images
from lightning_saliency.metrics._method_members import attribution_of, baselines_of
from lightning_saliency.metrics._metric import ExplanationMetric
from lightning_saliency.passes.changes import Intact
from lightning_saliency.passes.trials import Change, Measured, Shared, Trial


class CompletenessGap(ExplanationMetric):
    """Distance between the sum of a method's signed attribution and what it promises to sum to, relative to logits.

    |sum - (f(x) - f(baseline))| / (|f(x)| + |f(baseline)|), f the target's logit: from 0, lower is better. The
    logits and not their difference are the scale, since that may be as small as rounding errors. A method
    promises completeness by having `attribute(model, images, targets)` and `baselines(images)`, a tuple of
    baselines whose logits are averaged, empty where the whole logit is accounted for. Where there are none, or
    these are None, scores are NaN: the metric leaves the images out and counts them. Maps play no part.

    Cost: once that of `method`, and a forward of the image and of each baseline.

    Args:
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> from lightning_saliency.methods import IntegratedGradients
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
        >>> images, targets = torch.rand(2, 1, 4, 4), torch.tensor([0, 1])
        >>> gap = CompletenessGap().scores(model, images, images[:, 0], targets, method=IntegratedGradients(4))
        >>> bool((gap < 1e-3).all())
        True
        >>> CompletenessGap().needs
        ('methods',)

    References:
        Sundararajan et al., "Axiomatic Attribution for Deep Networks", 2017. https://arxiv.org/abs/1703.01365
    """

    higher_is_better = False
    name = "completeness_gap"
    plot_lower_bound = 0.0
    needs = ("methods",)

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of attributions."""
        baselines = trial.once(_Baselines(trial.name))
        # A chunk of images is as large as a pass may be.
        options = {"max_batch_size": trial.predict.max_batch_size}
        attribution = None if baselines is None else attribution_of(trial, **options)
        if attribution is None:
            return Measured(trial.maps.new_full((len(trial.images),), torch.nan))
        changes = [_AtBaseline(trial.name, index) for index in range(len(baselines))]
        intact, *others = trial.values([Intact(), *changes]).unbind(dim=1)
        baseline = torch.stack(others).mean(dim=0) if others else torch.zeros_like(intact)
        gap = (attribution.flatten(1).sum(dim=1).to(intact) - (intact - baseline)).abs()
        scale = intact.abs() + baseline.abs()
        return Measured(gap / torch.where(scale == 0, 1.0, scale))


class _Baselines(Shared):
    """The baselines of one method."""

    method: str

    def make(self, trial: Trial) -> tuple[Images, ...] | None:
        """Ask the method."""
        return baselines_of(trial)


class _AtBaseline(Change):
    """One of the baselines of a method in place of every image."""

    depends_on_map: ClassVar[bool] = False
    method: str
    index: int

    def make(self, trial: Trial) -> Images:
        """Return that baseline."""
        baselines: tuple[Images, ...] = trial.once(_Baselines(self.method))
        return baselines[self.index]
