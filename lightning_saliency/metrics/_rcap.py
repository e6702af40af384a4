"""RCAP: does the prediction come back when the most salient pixels are recovered first?"""

from functools import partial
from typing import Any, Final, Literal, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._checks import check_choice, check_fraction, check_number
from lightning_saliency._types import Images, Maps, Model, Scores, Targets
from lightning_saliency.metrics._metric import ExplanationMetric, scores_of
from lightning_saliency.passes.colours import ChannelValues, canvas_of, check_colours
from lightning_saliency.passes.trials import Measured, Trial

Activation: TypeAlias = Literal["softmax", "sigmoid"]
ACTIVATIONS: Final = ("softmax", "sigmoid")


def rcap(
    model: Model,
    images: Images,
    maps: Maps,
    targets: Targets,
    *,
    lower_bound: float = 0.5,
    interval: float = 0.1,
    mean: ChannelValues | None = None,
    std: ChannelValues | None = None,
    activation: Activation = "softmax",
    max_batch_size: int = 64,
) -> Scores:
    """Mean over recovery stages of (share of saliency recovered) x (probability of the target).

    Stage p shows the pixels whose normalised saliency exceeds its p-quantile on a black canvas, from the
    most salient tenth on. Higher is better, in [0, 1]. A map that is constant scores 0. Where the threshold
    is the map's maximum (a saturated map), every salient pixel is shown, as in the official code.

    Args:
        model: Model with one row of logits per image.
        images: Images (B, C, *S) in the model's input space.
        maps: Raw maps (B, *S).
        targets: Target classes (B,).
        lower_bound: Lowest quantile.
        interval: Distance of the quantiles, which end below 1.
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
    metric = RCAP(lower_bound, interval, mean=mean, std=std, activation=activation)
    return scores_of(metric.measure, model, images, maps, targets, max_batch_size)


class RCAP(ExplanationMetric):
    """Mean `rcap` over images, in [0, 1], higher is better.

    The score rises with the model's confidence alone: read it against a control map's.

    Args:
        lower_bound: Lowest quantile of the saliency.
        interval: Distance of the quantiles, which end below 1.
        mean: Mean that the images were normalised with; `None` with images in [0, 1].
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        name: Key in results and logs.
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

    References:
        Huang and Liu, "Guided AbsoluteGrad", 2024. https://arxiv.org/abs/2404.15564
    """

    higher_is_better = True
    needs_colours = True

    def __init__(
        self,
        lower_bound: float = 0.5,
        interval: float = 0.1,
        *,
        mean: ChannelValues | None = None,
        std: ChannelValues | None = None,
        activation: Activation = "softmax",
        name: str = "rcap",
        **kwargs: Any,
    ) -> None:
        check_fraction("lower_bound", lower_bound)
        check_number("interval", interval)
        if not 0 < interval <= 1:
            raise ValueError(f"Expected `interval` to lie in (0, 1], but got {interval}.")
        check_colours(mean, std)
        check_choice("activation", activation, ACTIVATIONS)
        quantiles = recovery_quantiles(lower_bound, interval)
        super().__init__(quantiles, mean, std, activation, num_points=len(quantiles), **kwargs)
        self.quantiles, self.mean, self.std, self.activation, self.name = (
            quantiles,
            mean,
            std,
            activation,
            name,
        )

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        canvas = canvas_of("black", trial.images, self.mean, self.std)
        curves = _recovery_curves(trial, self.quantiles, canvas, self.activation)
        return Measured(curves.mean(dim=1), curves)

    def curve(self) -> tuple[Tensor, Tensor]:
        """Return the quantiles and, at each, the mean share of saliency times probability."""
        return torch.tensor(self.quantiles, dtype=torch.float64), self._mean_curve()


def recovery_quantiles(lower_bound: float, interval: float) -> tuple[float, ...]:
    """List the quantiles below 1, the highest first."""
    stages = range(1 + int((1 - lower_bound) / interval))
    quantiles = [round(lower_bound + stage * interval, 10) for stage in stages]
    return tuple(quantile for quantile in reversed(quantiles) if quantile < 1)


def _recovery_curves(trial: Trial, quantiles: tuple[float, ...], canvas: Tensor, activation: Activation) -> Tensor:
    """Return share of saliency times target probability at every stage, (B, stages)."""
    masks = [_recovered(trial, quantile) for quantile in quantiles]
    changes = [
        trial.change("recover", quantile, tuple(canvas.flatten().tolist()), make=partial(trial.covered, ~mask, canvas))
        for quantile, mask in zip(quantiles, masks, strict=True)
    ]
    stages = [
        _share(trial.normalized, mask) * target_probability(logits, trial.targets, activation)
        for mask, logits in zip(masks, trial.predict(changes), strict=True)
    ]
    return torch.stack(stages, dim=1)


def _recovered(trial: Trial, quantile: float) -> Tensor:
    count = trial.num_positions
    ascending_rank = max(int(count * quantile) - 1, 0)
    threshold = trial.descending[:, count - 1 - ascending_rank]
    return trial.above(torch.where(threshold == 1, 0.0, threshold))


def _share(maps: Maps, mask: Tensor) -> Tensor:
    total = maps.flatten(1).sum(dim=1)
    recovered = (maps * mask).flatten(1).sum(dim=1)
    return recovered / torch.where(total == 0, 1.0, total)


def target_probability(logits: Tensor, targets: Targets, activation: Activation) -> Scores:
    """Return the target's probability, (B, K) and (B,) -> (B,)."""
    probabilities = logits.softmax(dim=1) if activation == "softmax" else logits.sigmoid()
    return probabilities.gather(1, targets[:, None]).squeeze(1)
