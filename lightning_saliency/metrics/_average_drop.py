"""Average drop, increase and gain: the target's probability when the map is laid over the image."""

from functools import partial

import torch

from lightning_saliency._types import Images, Maps, Model, Scores, Targets
from lightning_saliency.metrics._canvas_metric import CanvasMetric
from lightning_saliency.metrics._probability import Activation
from lightning_saliency.metrics._scoring import scores_of
from lightning_saliency.passes.colours import Canvas, ChannelValues
from lightning_saliency.passes.trials import Measured, Trial


def average_drop(
    model: Model,
    images: Images,
    maps: Maps,
    targets: Targets,
    *,
    canvas: Canvas = "black",
    mean: ChannelValues | None = None,
    std: ChannelValues | None = None,
    activation: Activation = "softmax",
    max_batch_size: int = 64,
) -> Scores:
    """Share of the target's probability that is lost when the map is laid over the image.

    Each pixel is shown as much as its normalised saliency says, on a black canvas: the score is
    max(0, before - after) / before, in [0, 1], lower is better. A constant map hides everything. Scaling and
    shifting a map change nothing; scaling the logits does. It suits maps of bright regions: gradients are
    bright in few pixels, hide nearly all, and score as random maps do.

    Cost: one forward per image and map, shared with `average_increase` and `average_gain`, and one of the intact
    image, shared by all maps.

    Args:
        model: Model with one row of logits per image.
        images: Images (B, C, *S) in the model's input space.
        maps: Raw maps (B, *S).
        targets: Target classes (B,).
        canvas: What hides the other pixels: `"black"`, `"white"`, `"mean"` or `"blur"`.
        mean: Mean that the images were normalised with; `None` with images in [0, 1].
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        max_batch_size: Most images in one pass.

    Returns:
        Scores (B,).

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images.sum(dim=(1, 2, 3)), torch.zeros(len(images))], dim=1)
        >>> average_drop(model, torch.ones(1, 1, 2, 1), torch.tensor([[[0.0], [1.0]]]), torch.tensor([0]))
        tensor([0.1700])

    References:
        Chattopadhay et al., "Grad-CAM++", 2018. https://arxiv.org/abs/1710.11063
    """
    metric = AverageDrop(canvas, mean=mean, std=std, activation=activation)
    return scores_of(metric, model, images, maps, targets, max_batch_size=max_batch_size)


def average_increase(
    model: Model,
    images: Images,
    maps: Maps,
    targets: Targets,
    *,
    canvas: Canvas = "black",
    mean: ChannelValues | None = None,
    std: ChannelValues | None = None,
    activation: Activation = "softmax",
    max_batch_size: int = 64,
) -> Scores:
    """Whether the target's probability rises when the map is laid over the image, as in `average_drop`.

    One or zero for each image; higher is better.

    Args:
        model: Model with one row of logits per image.
        images: Images (B, C, *S) in the model's input space.
        maps: Raw maps (B, *S).
        targets: Target classes (B,).
        canvas: What hides the other pixels: `"black"`, `"white"`, `"mean"` or `"blur"`.
        mean: Mean that the images were normalised with; `None` with images in [0, 1].
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        max_batch_size: Most images in one pass.

    Returns:
        Scores (B,).

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images[:, 0, 0, 0], images[:, 0, 1, 0]], dim=1)
        >>> average_increase(model, torch.ones(1, 1, 2, 1), torch.tensor([[[1.0], [0.0]]]), torch.tensor([0]))
        tensor([1.])

    References:
        Chattopadhay et al., "Grad-CAM++", 2018. https://arxiv.org/abs/1710.11063
    """
    metric = AverageIncrease(canvas, mean=mean, std=std, activation=activation)
    return scores_of(metric, model, images, maps, targets, max_batch_size=max_batch_size)


def average_gain(
    model: Model,
    images: Images,
    maps: Maps,
    targets: Targets,
    *,
    canvas: Canvas = "black",
    mean: ChannelValues | None = None,
    std: ChannelValues | None = None,
    activation: Activation = "softmax",
    max_batch_size: int = 64,
) -> Scores:
    """Share of the doubt in the target that is lost when the map is laid over the image, as in `average_drop`.

    max(0, after - before) / (1 - before), in [0, 1], higher is better; 0 where there was no doubt.

    Args:
        model: Model with one row of logits per image.
        images: Images (B, C, *S) in the model's input space.
        maps: Raw maps (B, *S).
        targets: Target classes (B,).
        canvas: What hides the other pixels: `"black"`, `"white"`, `"mean"` or `"blur"`.
        mean: Mean that the images were normalised with; `None` with images in [0, 1].
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        max_batch_size: Most images in one pass.

    Returns:
        Scores (B,).

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images[:, 0, 0, 0], images[:, 0, 1, 0]], dim=1)
        >>> average_gain(model, torch.ones(1, 1, 2, 1), torch.tensor([[[1.0], [0.0]]]), torch.tensor([0]))
        tensor([0.4621])

    References:
        Zhang et al., "Opti-CAM", 2024. https://arxiv.org/abs/2301.07002
    """
    metric = AverageGain(canvas, mean=mean, std=std, activation=activation)
    return scores_of(metric, model, images, maps, targets, max_batch_size=max_batch_size)


class AverageDrop(CanvasMetric):
    """Mean `average_drop` over images, in [0, 1], lower is better.

    Args:
        canvas: What hides the other pixels: `"black"`, `"white"`, `"mean"` or `"blur"`.
        mean: Mean that the images were normalised with; `None` with images in [0, 1].
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        options: As in `ExplanationMetric`.
        points: As in `ExplanationMetric`.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> AverageDrop("mean").name
        'average_drop_mean'
    """

    higher_is_better = False
    name = "average_drop"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        before, after = _confidences(self, trial)
        return Measured((before - after).clamp(min=0) / before.clamp(min=_smallest(before)))


class AverageIncrease(CanvasMetric):
    """Mean `average_increase` over images, in [0, 1], higher is better.

    Args:
        canvas: What hides the other pixels: `"black"`, `"white"`, `"mean"` or `"blur"`.
        mean: Mean that the images were normalised with; `None` with images in [0, 1].
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        options: As in `ExplanationMetric`.
        points: As in `ExplanationMetric`.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> AverageIncrease("mean").name
        'average_increase_mean'
    """

    higher_is_better = True
    name = "average_increase"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        before, after = _confidences(self, trial)
        return Measured((after > before).to(before))


class AverageGain(CanvasMetric):
    """Mean `average_gain` over images, in [0, 1], higher is better.

    Args:
        canvas: What hides the other pixels: `"black"`, `"white"`, `"mean"` or `"blur"`.
        mean: Mean that the images were normalised with; `None` with images in [0, 1].
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        options: As in `ExplanationMetric`.
        points: As in `ExplanationMetric`.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> AverageGain("mean").name
        'average_gain_mean'
    """

    higher_is_better = True
    name = "average_gain"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        before, after = _confidences(self, trial)
        return Measured((after - before).clamp(min=0) / (1 - before).clamp(min=_smallest(before)))


def _confidences(metric: CanvasMetric, trial: Trial) -> list[Scores]:
    laid_over = trial.change("lay over", metric.paint, make=partial(_laid_over, metric, trial))
    return metric.probabilities(trial, [trial.predict.intact, laid_over])


def _laid_over(metric: CanvasMetric, trial: Trial) -> Images:
    canvas = trial.canvas(metric.paint)
    return canvas + trial.normalized[:, None].to(trial.images) * (trial.images - canvas)


def _smallest(scores: Scores) -> float:
    """Keep 0/0 at 0: where the denominator vanishes, so does the numerator."""
    return float(torch.finfo(scores.dtype).tiny)
