"""Insertion and deletion: how fast does the target's probability come and go with the most salient pixels?"""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeAlias

import torch

from lightning_saliency._checks import check_choice, check_integer
from lightning_saliency._types import Images, Maps, Masks, Model, Scores, Targets
from lightning_saliency.metrics._canvas_metric import CanvasMetric
from lightning_saliency.metrics._probability import Activation
from lightning_saliency.metrics._scoring import scores_of
from lightning_saliency.passes.colours import RISE_BLUR, Canvas, ChannelValues
from lightning_saliency.passes.predictions import Change
from lightning_saliency.passes.trials import Measured, Trial

Preset: TypeAlias = Literal["guided_absolute_grad"]
PRESETS: Final = (None, "guided_absolute_grad")
USUAL_STEPS: Final = 20


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

    Arguments that `Insertion` does not explain are those of `rcap`.

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


def deletion(
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
    """Area under the target's probability while the most salient pixels are painted over.

    `insertion` the other way round: starts from the image and ends with the canvas, by default the
    mean colour; in [0, 1], lower is better. On small images scattered deletions confuse a model more than
    salient ones: random maps can score better than real ones. Read the score against a control map's.

    Arguments that `Deletion` does not explain are those of `rcap`.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images.sum(dim=(1, 2, 3)), torch.zeros(len(images))], dim=1)
        >>> ramp = torch.arange(4.0).reshape(1, 2, 2)
        >>> deletion(model, ramp[:, None] / 3, ramp, torch.tensor([0]), canvas="black", steps=4)
        tensor([0.6260])

    References:
        Petsiuk et al., "RISE", 2018. https://arxiv.org/abs/1806.07421
        Huang and Liu, "Guided AbsoluteGrad", 2024. https://arxiv.org/abs/2404.15564
    """
    metric = Deletion(steps, canvas=canvas, preset=preset, mean=mean, std=std, activation=activation)
    return scores_of(metric, model, images, maps, targets, max_batch_size=max_batch_size)


class Insertion(CanvasMetric):
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
        protocol = _protocol(steps, canvas, preset)
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
        changes = [_partly_painted(self, trial, "insert", trial.num_positions - count) for count in counts]
        return _area(self.probabilities(trial, changes), self.points)


class Deletion(CanvasMetric):
    """Mean `deletion` over images, in [0, 1], lower is better.

    Args:
        steps: Number of equal steps from the image to the canvas; 20 unless a preset says otherwise.
        canvas: What pixels are painted over with; `"mean"` unless a preset says otherwise.
        preset: `"guided_absolute_grad"` for that paper's protocol: fractions 0, 0.1, ..., 0.9, and an area of
            width 0.9 that is not normalised.
        mean: Mean that the images were normalised with.
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities.
        name: Key in results and logs; `"deletion"` for the usual canvas, else with the canvas behind.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If an argument is out of its range, or a preset is given together with `steps` or `canvas`.

    Example:
        >>> Deletion(canvas="black").name
        'deletion_black'
    """

    higher_is_better = False
    name = "deletion"
    usual_canvas: ClassVar[Canvas] = "mean"
    curve_axes: ClassVar[tuple[str, str]] = ("fraction deleted", "target probability")

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
        protocol = _protocol(steps, canvas, preset)
        super().__init__(
            canvas or "mean",
            mean=mean,
            std=std,
            activation=activation,
            options=(protocol,),
            points=protocol.fractions,
            name=name,
            **kwargs,
        )

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        counts = [round(fraction * trial.num_positions) for fraction in self.points]
        changes = [_partly_painted(self, trial, "delete", count) for count in counts]
        return _area(self.probabilities(trial, changes), self.points)


class Protocol(NamedTuple):
    """How a paper walks from the image to the canvas."""

    fractions: tuple[float, ...]
    blur: tuple[float, int]


def _protocol(steps: int | None, canvas: Canvas | None, preset: Preset | None) -> Protocol:
    check_choice("preset", preset, PRESETS)
    if preset is not None:
        if steps is not None or canvas is not None:
            raise ValueError(
                f"Expected `preset` alone, but got {preset!r} with steps={steps!r} and canvas={canvas!r}: "
                "leave out one or the other."
            )
        return Protocol(tuple(step / 10 for step in range(10)), (16.0, 16))
    check_integer("steps", USUAL_STEPS if steps is None else steps, minimum=1)
    steps = steps or USUAL_STEPS
    return Protocol(tuple(step / steps for step in range(steps + 1)), RISE_BLUR)


def _partly_painted(metric: CanvasMetric, trial: Trial, kind: Literal["insert", "delete"], painted: int) -> Change:
    """Paint over this many of the most salient pixels (deletion), or of the least salient ones (insertion)."""
    if painted == 0:
        return trial.predict.intact
    paint = metric.paint
    if painted == trial.num_positions:
        return Change(("cover all", paint), lambda: trial.canvas(paint).expand_as(trial.images))
    return trial.change(kind, painted, paint, make=partial(_painted, metric, trial, kind, painted))


def _painted(metric: CanvasMetric, trial: Trial, kind: Literal["insert", "delete"], painted: int) -> Images:
    mask: Masks = trial.most_salient(painted) if kind == "delete" else trial.least_salient(painted)
    return trial.covered(mask, trial.canvas(metric.paint))


def _area(probabilities: list[Scores], fractions: Sequence[float]) -> Measured:
    curves = torch.stack(probabilities, dim=1)
    return Measured(torch.trapezoid(curves, curves.new_tensor(fractions), dim=1), curves)
