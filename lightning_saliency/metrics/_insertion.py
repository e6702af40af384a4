"""Insertion: how fast does the target's probability come back with the most salient pixels?"""

from typing import Any, ClassVar

from lightning_saliency._types import Images, Maps, Model, Scores, Targets
from lightning_saliency.metrics._canvas_metric import CanvasMetric
from lightning_saliency.metrics._curve import CurveMetric
from lightning_saliency.metrics._pixel_steps import Preset, area, partly_painted, protocol_of
from lightning_saliency.metrics._probability import Activation
from lightning_saliency.metrics._scoring import scores_of
from lightning_saliency.passes.colours import Canvas, ChannelValues
from lightning_saliency.passes.trials import Measured, Trial


def insertion(
    model: Model,
    images: Images,
    maps: Maps,
    targets: Targets,
    *,
    steps: int | None = None,
    canvas: Canvas | None = None,
    preset: Preset | None = None,
    mean: ChannelValues | None = None,
    std: ChannelValues | None = None,
    activation: Activation = "softmax",
    max_batch_size: int = 64,
) -> Scores:
    """Area under the target's probability while the most salient pixels return to a blurred image.

    Starts from the canvas and ends with the image: at step i of n the i/n most salient pixels are shown,
    exactly counted; equal values are ordered by one fixed random permutation. The area is the trapezoid over
    the full range, in [0, 1], higher is better. RISE takes 224 pixels a step, which are 224 steps
    for its images; 20 steps cost eleven times less. Scaling and shifting a map change nothing; a
    constant map is a random order. A more confident model scores higher with the same maps.

    Cost: `steps` forwards per image and map, the intact image and the bare canvas shared by all maps.

    Args:
        model: Model with one row of logits per image.
        images: Images (B, C, *S) in the model's input space.
        maps: Raw maps (B, *S).
        targets: Target classes (B,).
        steps: Number of equal steps from the canvas to the image; 20 unless a preset says otherwise.
        canvas: What the image is inserted into; `"blur"` unless a preset says otherwise.
        preset: `"guided_absolute_grad"` for that paper's protocol: fractions 0, 0.1, ..., 0.9 with a blur of
            16 pixels, and an area of width 0.9 that is not normalised.
        mean: Mean that the images were normalised with.
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities.
        max_batch_size: Most images in one pass.

    Returns:
        Scores (B,).

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images.sum(dim=(1, 2, 3)), torch.zeros(len(images))], dim=1)
        >>> ramp = torch.arange(4.0).reshape(1, 2, 2)
        >>> insertion(model, ramp[:, None] / 3, ramp, torch.tensor([0]), canvas="black", steps=4)
        tensor([0.7858])

    References:
        Petsiuk et al., "RISE", 2018. https://arxiv.org/abs/1806.07421
        Huang and Liu, "Guided AbsoluteGrad", 2024. https://arxiv.org/abs/2404.15564
    """
    metric = Insertion(steps, canvas=canvas, preset=preset, mean=mean, std=std, activation=activation)
    return scores_of(metric, model, images, maps, targets, max_batch_size=max_batch_size)


class Insertion(CanvasMetric, CurveMetric):
    """Mean `insertion` over images, in [0, 1], higher is better.

    Args:
        steps: Number of equal steps from the canvas to the image; 20 unless a preset says otherwise.
        canvas: What the image is inserted into; `"blur"` unless a preset says otherwise.
        preset: `"guided_absolute_grad"` for that paper's protocol: fractions 0, 0.1, ..., 0.9 with a blur of
            16 pixels, and an area of width 0.9 that is not normalised.
        mean: Mean that the images were normalised with.
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities.
        name: Key in results and logs; `"insertion"` for the usual canvas, else with the canvas behind.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If an argument is out of its range, or a preset is given together with `steps` or `canvas`.

    Example:
        >>> Insertion(canvas="mean").name
        'insertion_mean'
    """

    higher_is_better = True
    name = "insertion"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    usual_canvas: ClassVar[Canvas] = "blur"
    curve_axes: ClassVar[tuple[str, str]] = ("fraction inserted", "target probability")

    def __init__(
        self,
        steps: int | None = None,
        *,
        canvas: Canvas | None = None,
        preset: Preset | None = None,
        mean: ChannelValues | None = None,
        std: ChannelValues | None = None,
        activation: Activation = "softmax",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        protocol = protocol_of(steps, canvas, preset)
        super().__init__(
            canvas or "blur",
            mean=mean,
            std=std,
            activation=activation,
            options=(protocol,),
            points=protocol.fractions,
            name=name,
            **kwargs,
        )
        self.blur = protocol.blur

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        counts = [round(fraction * trial.num_positions) for fraction in self.points]
        changes = [partly_painted(self, trial, "insert", trial.num_positions - count) for count in counts]
        return area(self.probabilities(trial, changes), self.points)
