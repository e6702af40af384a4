"""RCAP: does the prediction come back when the most salient pixels are recovered first?"""

from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_saliency._checks import check_fraction, check_number
from lightning_saliency._types import Images, Maps, Model, Scores, Targets
from lightning_saliency.metrics._canvas_metric import CanvasMetric
from lightning_saliency.metrics._curve import CurveMetric
from lightning_saliency.metrics._probability import Activation
from lightning_saliency.metrics._scoring import scores_of
from lightning_saliency.passes.colours import Canvas, ChannelValues
from lightning_saliency.passes.trials import Measured, Trial


def rcap(
    model: Model,
    images: Images,
    maps: Maps,
    targets: Targets,
    *,
    lower_bound: float = 0.5,
    interval: float = 0.1,
    canvas: Canvas = "black",
    mean: ChannelValues | None = None,
    std: ChannelValues | None = None,
    activation: Activation = "softmax",
    max_batch_size: int = 64,
) -> Scores:
    """Mean over recovery stages of (share of saliency recovered) x (probability of the target).

    Stage p shows the pixels whose normalised saliency exceeds its p-quantile on a canvas, from the
    most salient tenth on. Higher is better, in [0, 1]. A map that is constant scores 0. Where the threshold
    is the map's maximum (a saturated map), every salient pixel is shown, as in the official code.

    Scaling and shifting a map change nothing. A more confident model scores higher with the same maps:
    read the score against a control map's.

    Args:
        model: Model with one row of logits per image.
        images: Images (B, C, *S) in the model's input space.
        maps: Raw maps (B, *S).
        targets: Target classes (B,).
        lower_bound: Lowest quantile.
        interval: Distance of the quantiles, which end below 1.
        canvas: What hides the other pixels: `"black"`, `"white"`, `"mean"` or `"blur"`.
        mean: Mean that the images were normalised with, one value or one per channel; `None` with images in [0, 1].
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        max_batch_size: Most images in one pass. Cost: one forward per stage and image.

    Returns:
        Scores (B,).

    Raises:
        ValueError: If an argument is out of its range, or images are not raw and their normalisation is unknown.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images.sum(dim=(1, 2, 3)), torch.zeros(len(images))], dim=1)
        >>> ramp = torch.arange(10.0).reshape(1, 2, 5)
        >>> rcap(model, torch.zeros(1, 1, 2, 5), ramp, torch.tensor([0]))
        tensor([0.2556])

    References:
        Huang and Liu, "Guided AbsoluteGrad", 2024. https://arxiv.org/abs/2404.15564
    """
    metric = RCAP(lower_bound, interval, canvas=canvas, mean=mean, std=std, activation=activation)
    return scores_of(metric, model, images, maps, targets, max_batch_size=max_batch_size)


class RCAP(CanvasMetric, CurveMetric):
    """Mean `rcap` over images, in [0, 1], higher is better.

    Args:
        lower_bound: Lowest quantile of the saliency.
        interval: Distance of the quantiles, which end below 1.
        canvas: What hides the other pixels.
        mean: Mean that the images were normalised with.
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities.
        name: Key in results and logs; `"rcap"` for black, else with the canvas behind.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images.sum(dim=(1, 2, 3)), torch.zeros(len(images))], dim=1)
        >>> metric = RCAP()
        >>> metric.update(model, torch.zeros(1, 1, 2, 5), torch.arange(10.0).reshape(1, 2, 5), torch.tensor([0]))
        >>> round(metric.compute().item(), 4)
        0.2556
    """

    higher_is_better = True
    name = "rcap"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    curve_axes: ClassVar[tuple[str, str]] = ("quantile", "share of saliency x probability")

    def __init__(
        self,
        lower_bound: float = 0.5,
        interval: float = 0.1,
        *,
        canvas: Canvas = "black",
        mean: ChannelValues | None = None,
        std: ChannelValues | None = None,
        activation: Activation = "softmax",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_fraction("lower_bound", lower_bound)
        check_number("interval", interval)
        if not 0 < interval <= 1:
            raise ValueError(f"Expected `interval` to lie in (0, 1], but got {interval}.")
        points = recovery_quantiles(lower_bound, interval)
        super().__init__(canvas, mean=mean, std=std, activation=activation, points=points, name=name, **kwargs)

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        masks = [_recovered(trial, quantile) for quantile in self.points]
        canvas = trial.canvas(self.paint)
        changes = [
            trial.change(*_kind(trial, quantile), self.paint, make=partial(trial.covered, ~mask, canvas))
            for quantile, mask in zip(self.points, masks, strict=True)
        ]
        shares = torch.stack([_share(trial.normalized, mask) for mask in masks], dim=1)
        curves = shares * torch.stack(self.probabilities(trial, changes), dim=1)
        return Measured(curves.mean(dim=1), curves)


def recovery_quantiles(lower_bound: float, interval: float) -> tuple[float, ...]:
    """List the quantiles below 1, the highest first."""
    stages = range(1 + int((1 - lower_bound) / interval))
    quantiles = [round(lower_bound + stage * interval, 10) for stage in stages]
    return tuple(quantile for quantile in reversed(quantiles) if quantile < 1)


def _kind(trial: Trial, quantile: float) -> tuple[str, float]:
    """Name the stage: where no tie is cut it is a step of insertion, and may be predicted for that too."""
    count = _rank(trial, quantile)
    return ("insert", trial.num_positions - count) if trial.is_clear_cut(count) else ("recover", quantile)


def _rank(trial: Trial, quantile: float) -> int:
    count = trial.num_positions
    return count - 1 - max(int(count * quantile) - 1, 0)


def _recovered(trial: Trial, quantile: float) -> Tensor:
    threshold = trial.descending[:, _rank(trial, quantile)]
    return trial.above(torch.where(threshold == 1, 0.0, threshold))


def _share(maps: Maps, mask: Tensor) -> Tensor:
    total = maps.flatten(1).sum(dim=1)
    recovered = (maps * mask).flatten(1).sum(dim=1)
    return recovered / torch.where(total == 0, 1.0, total)
