"""SRG: what is lost with the most salient pixels, less what is lost with the least salient ones."""

from dataclasses import field

import torch

from lightning_saliency._checks import check_integer
from lightning_saliency.metrics._canvas_metric import CanvasMetric, OutcomeMetric
from lightning_saliency.metrics._curve import CurveMetric
from lightning_saliency.metrics._normalized import NormalizedMetric
from lightning_saliency.passes.canvases import Canvas
from lightning_saliency.passes.changes import Kept, Removed
from lightning_saliency.passes.trials import Measured, Trial


class SRG(NormalizedMetric, CanvasMetric, OutcomeMetric, CurveMetric):
    """Symmetric relevance gain: the area between the target's curves when pixels go from either end.

    One curve removes the least salient pixels first, the other the most salient ones first; both begin with the image
    and end with the canvas. The score is the area between them, in [-1, 1], higher is better: 0 on average for a
    random order, and the negative for the reversed one. The canvas enters both curves alike, so that its choice
    matters less than for `Insertion` and `Deletion`. Pixels are exactly counted;
    equal values are ordered by one fixed random permutation. Scaling and shifting a map change nothing. Of a target
    without a probability the curves are those of its values, in their own units.

    Cost: 2 x (steps - 1) forwards per image and map, the intact image and the bare canvas shared by all maps. The half
    that removes the most salient pixels is shared with `Deletion` on the same canvas, the other half with `Insertion`.

    Args:
        steps: Number of equal steps from the image to the canvas.
        canvas: The paint over removed pixels: `"black"`, `"white"`, `"mean"` or `"blur"`.
        normalize: `"intact"` divides probabilities by that of the intact image, up to 1.
        mean: Mean that the images were normalised with.
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        name: Key in results and logs; `"srg"` for the mean colour, else followed by the canvas.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images.sum(dim=(1, 2, 3)), torch.zeros(len(images))], dim=1)
        >>> ramp = torch.arange(4.0).reshape(1, 2, 2)
        >>> SRG(4, canvas="black").scores(model, ramp[:, None] / 3, ramp, torch.tensor([0]))
        tensor([0.1598])
        >>> SRG(4, canvas="black").scores(model, ramp[:, None] / 3, -ramp, torch.tensor([0]))
        tensor([-0.1598])

    References:
        Bluecher et al., "Decoupling Pixel Flipping and Occlusion Strategy for Consistent XAI Benchmarks", 2024.
        https://arxiv.org/abs/2401.06654
    """

    higher_is_better = True
    name = "srg"
    usual_canvas = "mean"
    plot_lower_bound = -1.0
    plot_upper_bound = 1.0
    curve_axes = ("fraction removed", "least minus most salient removed")

    steps: int = 20
    canvas: Canvas | None = field(default=None, kw_only=True)

    def check(self) -> None:
        """Refuse less than one step."""
        super().check()
        check_integer("steps", self.steps, minimum=1)

    @property
    def points(self) -> tuple[float, ...]:
        """The fractions of the pixels that are removed."""
        return tuple(step / self.steps for step in range(self.steps + 1))

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps: the trapezoid over the shares of pixels that really were removed."""
        counts = [round(fraction * trial.num_positions) for fraction in self.points]
        most = [Removed(count, self.paint) for count in counts]
        least = [Kept(trial.num_positions - count, self.paint) for count in counts]
        outcomes = self.relative(trial, self.outcomes(trial, [*most, *least]))
        without_most, without_least = outcomes.split(len(counts), dim=1)
        curves = without_least - without_most
        shares = torch.tensor(counts, dtype=torch.float64) / trial.num_positions
        return Measured(torch.trapezoid(curves, shares.to(curves), dim=1), curves)
