"""Allegiance: how long does the model stand by its prediction while the most salient pixels are deleted?"""

from functools import partial
from typing import Any, Final

import torch
from torch import Tensor

from lightning_saliency._checks import check_choice
from lightning_saliency._types import Images, Maps, Model, Scores, Targets
from lightning_saliency.metrics._metric import ExplanationMetric, scores_of
from lightning_saliency.passes.colours import Canvas, ChannelValues, canvas_of, check_colours
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
    not normalised: from 0.015 to 0.9, lower is better. `targets` do not enter: the prediction on the
    intact image is what counts.

    Args:
        model: Model with one row of logits per image.
        images: Images (B, C, *S) in the model's input space.
        maps: Raw maps (B, *S).
        targets: Target classes (B,).
        canvas: `"black"` (the paper's choice for positive and active gradients) or `"white"` (negative, inactive).
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
    return scores_of(metric.measure, model, images, maps, targets, max_batch_size)


class Allegiance(ExplanationMetric):
    """Mean `allegiance` over images, from 0.015 to 0.9, lower is better.

    On small images scattered deletions confuse a model more than salient ones: random maps can score
    better than real ones. Read it against a control map's.

    Args:
        canvas: `"black"` or `"white"`.
        mean: Mean that the images were normalised with; `None` with images in [0, 1].
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

    References:
        Llorente et al., "A matter of attitude", 2023. https://arxiv.org/abs/2309.12913
    """

    higher_is_better = False
    needs_colours = True

    def __init__(
        self,
        canvas: Canvas = "black",
        *,
        mean: ChannelValues | None = None,
        std: ChannelValues | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice("canvas", canvas, ("black", "white"))
        check_colours(mean, std)
        super().__init__(canvas, mean, std, num_points=len(FRACTIONS), **kwargs)
        self.canvas: Canvas = canvas
        self.mean, self.std = mean, std
        self.name = name or ("allegiance" if canvas == "black" else f"allegiance_{canvas}")

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        curves = _agreement_curves(trial, canvas_of(self.canvas, trial.images, self.mean, self.std))
        fractions = torch.tensor(FRACTIONS, dtype=curves.dtype, device=curves.device)
        return Measured(torch.trapezoid(curves, fractions, dim=1), curves)

    def curve(self) -> tuple[Tensor, Tensor]:
        """Return the fractions deleted and, at each, the share of images whose prediction stands."""
        return torch.tensor(FRACTIONS, dtype=torch.float64), self._mean_curve()


def _agreement_curves(trial: Trial, canvas: Tensor) -> Tensor:
    """Return whether the prediction stands after each deletion, (B, fractions) of zeros and ones."""
    # The official code rounds half to even, as Python does.
    ranks = [round(fraction * trial.num_positions) for fraction in FRACTIONS]
    changes = [_deletion(trial, rank, canvas) for rank in ranks]
    predicted = [logits.argmax(dim=1) for logits in trial.predict([trial.predict.intact, *changes])]
    return torch.stack([classes == predicted[0] for classes in predicted[1:]], dim=1).to(trial.maps)


def _deletion(trial: Trial, rank: int, canvas: Tensor) -> Change:
    if rank == 0:
        return trial.predict.intact
    colour = tuple(canvas.flatten().tolist())
    return trial.change("delete above", rank, colour, make=partial(_deleted, trial, rank, canvas))


def _deleted(trial: Trial, rank: int, canvas: Tensor) -> Images:
    return trial.covered(trial.above_rank(rank), canvas)
