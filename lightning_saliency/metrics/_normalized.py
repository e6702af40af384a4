"""The common part of metrics that can be divided by how sure the model is of the intact image."""

from dataclasses import field
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._checks import check_choice
from lightning_saliency.metrics._canvas_metric import ProbabilityMetric
from lightning_saliency.passes.changes import Intact
from lightning_saliency.passes.trials import Trial
from lightning_saliency.targets import Offer

Normalize: TypeAlias = Literal["intact"]
NORMALIZATIONS: Final = (None, "intact")


class NormalizedMetric(ProbabilityMetric):
    """A metric that can divide the target's probabilities by that of the intact image, up to 1.

    Args:
        normalize: `"intact"` divides, so that a score says which share of the prediction a map accounts for; `None`
            does not.
        name: Key in results and logs; the usual one ends with `_intact` if it divides.
        kwargs: Passed on to the metric.

    Raises:
        ValueError: If `normalize` is unknown.
        TypeError: When updated, if the target has no probability to divide by.
    """

    normalize: Normalize | None = field(default=None, kw_only=True)

    def check(self) -> None:
        """Refuse an unknown normalisation."""
        super().check()
        check_choice("normalize", self.normalize, NORMALIZATIONS)

    @property
    def reads(self) -> tuple[Offer, ...]:
        """A probability where the metric divides by one, since a value may be zero or negative."""
        return super().reads if self.normalize is None else ("probability",)

    @property
    def usual_name(self) -> str:
        """The metric's name, marked where it divides."""
        return super().usual_name if self.normalize is None else f"{super().usual_name}_{self.normalize}"

    def relative(self, trial: Trial, outcomes: Tensor) -> Tensor:
        """Divide outcomes (B, P) by the probability of the intact image, if that is asked for.

        A share is at most 1, so that an image of whose class the model is less sure than of that of a canvas does not
        decide the mean alone.
        """
        if self.normalize is None:
            return outcomes
        intact = self.probabilities(trial, [Intact()])
        return (outcomes / intact.clamp(min=torch.finfo(intact.dtype).tiny)).clamp(max=1)
