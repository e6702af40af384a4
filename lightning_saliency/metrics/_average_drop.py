"""Average drop, increase and gain: the target's probability when the map is laid over the image."""

from abc import abstractmethod

import torch

from lightning_saliency._types import Scores
from lightning_saliency.metrics._canvas_metric import CanvasMetric, ProbabilityMetric
from lightning_saliency.passes.canvases import Canvas
from lightning_saliency.passes.changes import Intact, LaidOver
from lightning_saliency.passes.trials import Measured, Trial


class LaidOverMetric(CanvasMetric, ProbabilityMetric):
    """A metric that compares the target's probability before and after the map is laid over the image."""

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    canvas: Canvas = "black"

    @abstractmethod
    def compare(self, before: Scores, after: Scores) -> Scores:
        """Score probabilities (B,) of the intact image and of the image under its map."""

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        before, after = self.probabilities(trial, [Intact(), LaidOver(self.paint)]).unbind(dim=1)
        return Measured(self.compare(before, after))


class AverageDrop(LaidOverMetric):
    """Share of the target's probability that is lost when the map is laid over the image.

    Each pixel is shown as much as its normalised saliency says, on a black canvas: the score is
    max(0, before - after) / before, in [0, 1], lower is better. A constant map hides everything. Scaling and
    shifting a map change nothing; scaling the logits does. It suits maps of bright regions: gradients are
    bright in few pixels, hide nearly all, and score as random maps do.

    Cost: one forward per image and map, shared with `AverageIncrease` and `AverageGain`, and one of the intact
    image, shared by all maps.

    Args:
        canvas: The paint that hides the other pixels: `"black"`, `"white"`, `"mean"` or `"blur"`.
        mean: Mean that the images were normalised with; `None` with images in [0, 1].
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        name: Key in results and logs; `"average_drop"` for black, else followed by the canvas.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images.sum(dim=(1, 2, 3)), torch.zeros(len(images))], dim=1)
        >>> maps = torch.tensor([[[0.0], [1.0]]])
        >>> AverageDrop().scores(model, torch.ones(1, 1, 2, 1), maps, torch.tensor([0]))
        tensor([0.1700])
        >>> AverageDrop("mean").name
        'average_drop_mean'

    References:
        Chattopadhay et al., "Grad-CAM++", 2018. https://arxiv.org/abs/1710.11063
    """

    higher_is_better = False
    name = "average_drop"

    def compare(self, before: Scores, after: Scores) -> Scores:
        """Return the share that is lost."""
        return (before - after).clamp(min=0) / before.clamp(min=_smallest(before))


class AverageIncrease(LaidOverMetric):
    """Whether the target's probability rises when the map is laid over the image, as in `AverageDrop`.

    One or zero for each image; higher is better. Cost: that of `AverageDrop`, shared with it.

    Args:
        canvas: The paint that hides the other pixels: `"black"`, `"white"`, `"mean"` or `"blur"`.
        mean: Mean that the images were normalised with; `None` with images in [0, 1].
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        name: Key in results and logs; `"average_increase"` for black, else followed by the canvas.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images[:, 0, 0, 0], images[:, 0, 1, 0]], dim=1)
        >>> maps = torch.tensor([[[1.0], [0.0]]])
        >>> AverageIncrease().scores(model, torch.ones(1, 1, 2, 1), maps, torch.tensor([0]))
        tensor([1.])
        >>> AverageIncrease("mean").name
        'average_increase_mean'

    References:
        Chattopadhay et al., "Grad-CAM++", 2018. https://arxiv.org/abs/1710.11063
    """

    higher_is_better = True
    name = "average_increase"

    def compare(self, before: Scores, after: Scores) -> Scores:
        """Return 1 where the probability rises."""
        return (after > before).to(before)


class AverageGain(LaidOverMetric):
    """Share of the doubt in the target that is lost when the map is laid over the image, as in `AverageDrop`.

    max(0, after - before) / (1 - before), in [0, 1], higher is better; 0 where there was no doubt. Cost: that of
    `AverageDrop`, shared with it.

    Args:
        canvas: The paint that hides the other pixels: `"black"`, `"white"`, `"mean"` or `"blur"`.
        mean: Mean that the images were normalised with; `None` with images in [0, 1].
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        name: Key in results and logs; `"average_gain"` for black, else followed by the canvas.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images[:, 0, 0, 0], images[:, 0, 1, 0]], dim=1)
        >>> maps = torch.tensor([[[1.0], [0.0]]])
        >>> AverageGain().scores(model, torch.ones(1, 1, 2, 1), maps, torch.tensor([0]))
        tensor([0.4621])
        >>> AverageGain("mean").name
        'average_gain_mean'

    References:
        Zhang et al., "Opti-CAM", 2024. https://arxiv.org/abs/2301.07002
    """

    higher_is_better = True
    name = "average_gain"

    def compare(self, before: Scores, after: Scores) -> Scores:
        """Return the share of the doubt that is lost."""
        return (after - before).clamp(min=0) / (1 - before).clamp(min=_smallest(before))


def _smallest(scores: Scores) -> float:
    """Keep 0/0 at 0: where the denominator vanishes, so does the numerator."""
    return float(torch.finfo(scores.dtype).tiny)
