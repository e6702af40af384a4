"""RCAP: does the prediction come back when the most salient pixels are recovered first?"""

from dataclasses import field
from typing import Final

import torch

from lightning_saliency._checks import check_fraction, check_number
from lightning_saliency._types import Maps, Masks, Scores
from lightning_saliency.metrics._canvas_metric import CanvasMetric
from lightning_saliency.metrics._curve import CurveMetric
from lightning_saliency.metrics._normalized import NormalizedMetric
from lightning_saliency.passes.canvases import Canvas
from lightning_saliency.passes.changes import Recovered
from lightning_saliency.passes.trials import Measured, Trial

MOST_STAGES: Final = 1000


class RCAP(NormalizedMetric, CanvasMetric, CurveMetric):
    """Mean over recovery stages of (share of saliency recovered) x (probability of the target), from 0 to 1.

    Higher is better. Stage p shows the pixels whose normalised saliency exceeds its p-quantile on a canvas, beginning
    with the most salient tenth. A map that is constant scores 0. Where the threshold is the map's maximum (a saturated
    map), every salient pixel is shown, as in the official code.

    Scaling and shifting a map change nothing. A more confident model scores higher with the same maps: read the
    score against a random map's. Dividing by the prediction of the intact image (`normalize="intact"`) goes too far
    over the epochs of a training: the score of a random map falls.

    In `docs/metrics.md` real maps win over random ones and over edges on 1 of 5 networks, and the score follows
    confidence by 0.43.

    Cost: one forward per stage and image, and one of the intact image where it divides. A GPU is waited for five times
    a chunk, once of these to see whether any map has ties at a threshold: where none has, pictures are shared with
    metrics that count pixels.

    Args:
        lower_bound: Lowest quantile of the saliency.
        interval: Distance of the quantiles, which end below 1; at least 0.001.
        canvas: The paint that hides the other pixels: `"black"`, `"white"`, `"mean"` or `"blur"`.
        normalize: `"intact"` divides probabilities by that of the intact image, up to 1.
        mean: Mean that the images were normalised with, one value or one per channel; `None` with images in [0, 1].
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        name: Key in results and logs; `"rcap"` for black, else followed by the canvas.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If an argument is out of its range; when updated, if images are not raw and their normalisation is
            unknown.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images.sum(dim=(1, 2, 3)), torch.zeros(len(images))], dim=1)
        >>> images, ramp, targets = torch.zeros(1, 1, 2, 5), torch.arange(10.0).reshape(1, 2, 5), torch.tensor([0])
        >>> RCAP().scores(model, images, ramp, targets)
        tensor([0.2556])
        >>> metric = RCAP()
        >>> metric.update(model, images, ramp, targets)
        >>> round(metric.compute().item(), 4)
        0.2556

    References:
        Huang and Liu, "Guided AbsoluteGrad", 2024. https://arxiv.org/abs/2404.15564
    """

    higher_is_better = True
    name = "rcap"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    curve_axes = ("quantile", "share of saliency x probability")

    lower_bound: float = 0.5
    interval: float = 0.1
    canvas: Canvas = field(default="black", kw_only=True)

    def check(self) -> None:
        """Refuse quantiles outside [0, 1)."""
        super().check()
        check_fraction("lower_bound", self.lower_bound)
        check_number("interval", self.interval)
        if not 1 / MOST_STAGES <= self.interval <= 1:
            raise ValueError(
                f"`interval` must lie in [{1 / MOST_STAGES}, 1], but got {self.interval}.  Every stage is a pass."
            )

    @property
    def points(self) -> tuple[float, ...]:
        """The quantiles below 1, the highest first."""
        stages = range(1 + int((1 - self.lower_bound) / self.interval))
        quantiles = [round(self.lower_bound + stage * self.interval, 10) for stage in stages]
        return tuple(quantile for quantile in reversed(quantiles) if quantile < 1)

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        changes = [Recovered(quantile, self.paint) for quantile in self.points]
        shares = torch.stack([_share(trial.normalized, change.visible(trial)) for change in changes], dim=1)
        curves = shares * self.relative(trial, self.probabilities(trial, changes))
        return Measured(curves.mean(dim=1), curves)


def _share(maps: Maps, mask: Masks) -> Scores:
    total = maps.flatten(1).sum(dim=1)
    recovered = (maps * mask).flatten(1).sum(dim=1)
    return recovered / torch.where(total == 0, 1.0, total)
