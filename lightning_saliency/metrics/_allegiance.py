"""Allegiance: how long does the model keep its prediction while the most salient pixels are deleted?"""

from typing import Final

import torch

from lightning_saliency.metrics._canvas_metric import CanvasMetric
from lightning_saliency.metrics._curve import CurveMetric
from lightning_saliency.passes.canvases import Canvas
from lightning_saliency.passes.changes import Intact, RemovedAbove
from lightning_saliency.passes.trials import Measured, Trial
from lightning_saliency.targets import Offer

FRACTIONS: Final = (0.0, 0.03, 0.05, 0.07, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class Allegiance(CanvasMetric, CurveMetric):
    """Area under the agreement with the model's own prediction while the most salient pixels are deleted.

    At each of 13 fractions from 0 to 0.9 the pixels more salient than the one of that rank are painted
    over; ties stay together, and pixels without saliency are never deleted. The area is the trapezoid,
    not normalised: from 0.015 to 0.9, lower is better; 0.9 for a constant map, of which nothing is deleted.
    `targets` do not enter: the prediction on the intact image is what counts. Scaling and shifting a map,
    or scaling all logits, change nothing.

    On small images scattered deletions confuse a model more than salient ones: with a ResNet-20 on CIFAR-10
    random maps score 0.14 on black, and gradients and class activation maps 0.17 to 0.25. Read the
    score against a control map's.

    In `docs/metrics.md` real maps win over random ones and over edges on 0 of 5 networks, and the score follows
    confidence by 0.64.

    Cost: at most 13 forwards per image. A GPU is waited for five times a chunk, once of these to see whether any map
    has ties at a threshold, as in `RCAP`.

    Args:
        canvas: The paint over deleted pixels: `"black"` (the paper's choice for positive and active
            gradients), `"white"` (negative, inactive), `"mean"` or `"blur"`.
        mean: Mean that the images were normalised with, one value or one per channel; `None` with images in [0, 1].
        std: Standard deviation that they were normalised with.
        name: Key in results and logs; `"allegiance"` for black, else followed by the canvas.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If `canvas` is unknown; when updated, if images are not raw and their normalisation is unknown.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images.sum(dim=(1, 2, 3)), torch.full((len(images),), 6.5)], dim=1)
        >>> images, ramp, targets = torch.ones(1, 1, 2, 5), torch.arange(10.0).reshape(1, 2, 5), torch.tensor([0])
        >>> Allegiance().scores(model, images, ramp, targets)
        tensor([0.3500])
        >>> metric = Allegiance()
        >>> metric.update(model, images, ramp, targets)
        >>> round(metric.compute().item(), 4)
        0.35

    References:
        Llorente et al., "A matter of attitude", 2023. https://arxiv.org/abs/2309.12913
    """

    higher_is_better = False
    name = "allegiance"
    plot_lower_bound = 0.015
    plot_upper_bound = 0.9
    curve_axes = ("fraction deleted", "share of predictions that stay")

    canvas: Canvas = "black"

    @property
    def reads(self) -> tuple[Offer, ...]:
        """The model's own prediction."""
        return ("classes",)

    @property
    def points(self) -> tuple[float, ...]:
        """The fractions of the pixels that are deleted."""
        return FRACTIONS

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        # The official code rounds half to even, as Python does.
        ranks = [round(fraction * trial.num_positions) for fraction in FRACTIONS]
        changes = [RemovedAbove(rank, self.paint) for rank in ranks]
        intact, *predicted = [logits.argmax(dim=1) for logits in trial.logits([Intact(), *changes])]
        curves = torch.stack([classes == intact for classes in predicted], dim=1).to(trial.images)
        return Measured(torch.trapezoid(curves, curves.new_tensor(FRACTIONS), dim=1), curves)
