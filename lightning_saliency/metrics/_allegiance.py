"""Allegiance: how long does the model stand by its prediction while the most salient pixels are deleted?"""

from functools import partial
from typing import Any, ClassVar, Final

import torch

from lightning_saliency._types import Images, Maps, Model, Scores, Targets
from lightning_saliency.metrics._canvas_metric import CanvasMetric
from lightning_saliency.metrics._curve import CurveMetric
from lightning_saliency.metrics._scoring import scores_of
from lightning_saliency.passes.colours import Canvas, ChannelValues
from lightning_saliency.passes.predictions import Change
from lightning_saliency.passes.trials import Measured, Trial

FRACTIONS: Final = (0.0, 0.03, 0.05, 0.07, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def allegiance(
    model: Model,
    images: Images,
    maps: Maps,
    targets: Targets,
    *,
    canvas: Canvas = "black",
    mean: ChannelValues | None = None,
    std: ChannelValues | None = None,
    max_batch_size: int = 64,
) -> Scores:
    """Area under the agreement with the model's own prediction while the most salient pixels are deleted.

    At each of 13 fractions from 0 to 0.9 the pixels more salient than the one of that rank are painted
    over; ties stay together, and pixels without saliency are never deleted. The area is the trapezoid,
    not normalised: from 0.015 to 0.9, lower is better; 0.9 for a constant map, of which nothing is deleted.
    `targets` do not enter: the prediction on the intact image is what counts. Scaling and shifting a map,
    or scaling all logits, change nothing.

    On small images scattered deletions confuse a model more than salient ones: with a ResNet-20 on CIFAR-10
    random maps score 0.14 on black, and gradients and class activation maps 0.17 to 0.25. Read the
    score against a control map's.

    Args:
        model: Model with one row of logits per image.
        images: Images (B, C, *S) in the model's input space.
        maps: Raw maps (B, *S).
        targets: Target classes (B,).
        canvas: `"black"` (the paper's choice for positive and active gradients), `"white"` (negative, inactive),
            `"mean"` or `"blur"`.
        mean: Mean that the images were normalised with, one value or one per channel; `None` with images in [0, 1].
        std: Standard deviation that they were normalised with.
        max_batch_size: Most images in one pass. Cost: at most 13 forwards per image.

    Returns:
        Scores (B,).

    Raises:
        ValueError: If `canvas` is unknown, or images are not raw and their normalisation is unknown.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images.sum(dim=(1, 2, 3)), torch.full((len(images),), 6.5)], dim=1)
        >>> ramp = torch.arange(10.0).reshape(1, 2, 5)
        >>> allegiance(model, torch.ones(1, 1, 2, 5), ramp, torch.tensor([0]))
        tensor([0.3500])

    References:
        Llorente et al., "A matter of attitude", 2023. https://arxiv.org/abs/2309.12913
    """
    metric = Allegiance(canvas, mean=mean, std=std)
    return scores_of(metric, model, images, maps, targets, max_batch_size=max_batch_size)


class Allegiance(CanvasMetric, CurveMetric):
    """Mean `allegiance` over images, from 0.015 to 0.9, lower is better.

    Args:
        canvas: What deleted pixels are painted over with.
        mean: Mean that the images were normalised with.
        std: Standard deviation that they were normalised with.
        name: Key in results and logs; `"allegiance"` for black, else with the canvas behind.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If `canvas` is unknown.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images.sum(dim=(1, 2, 3)), torch.full((len(images),), 6.5)], dim=1)
        >>> metric = Allegiance()
        >>> metric.update(model, torch.ones(1, 1, 2, 5), torch.arange(10.0).reshape(1, 2, 5), torch.tensor([0]))
        >>> round(metric.compute().item(), 4)
        0.35
    """

    higher_is_better = False
    name = "allegiance"
    plot_lower_bound = 0.015
    plot_upper_bound = 0.9
    curve_axes: ClassVar[tuple[str, str]] = ("fraction deleted", "share of predictions that stand")

    def __init__(
        self,
        canvas: Canvas = "black",
        *,
        mean: ChannelValues | None = None,
        std: ChannelValues | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(canvas, mean=mean, std=std, points=FRACTIONS, name=name, **kwargs)

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        # The official code rounds half to even, as Python does.
        ranks = [round(fraction * trial.num_positions) for fraction in FRACTIONS]
        changes = [self._deletion(trial, rank) for rank in ranks]
        predicted = [logits.argmax(dim=1) for logits in trial.predict([trial.predict.intact, *changes])]
        curves = torch.stack([classes == predicted[0] for classes in predicted[1:]], dim=1).to(trial.images)
        return Measured(torch.trapezoid(curves, curves.new_tensor(FRACTIONS), dim=1), curves)

    def _deletion(self, trial: Trial, rank: int) -> Change:
        if rank == 0:
            return trial.predict.intact
        # Where no tie is cut it is a step of deletion, and may be predicted for that too.
        kind = "delete" if trial.is_clear_cut(rank) else "delete above"
        return trial.change(kind, rank, self.paint, make=partial(self._deleted, trial, rank))

    def _deleted(self, trial: Trial, rank: int) -> Images:
        return trial.covered(trial.above_rank(rank), trial.canvas(self.paint))
