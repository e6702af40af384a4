"""The common part of metrics that paint pixels over, and of those that read the target's probability."""

from collections.abc import Sequence
from dataclasses import field
from typing import ClassVar, Self

from torch import Tensor

from lightning_saliency._checks import check_choice
from lightning_saliency.metrics._metric import ExplanationMetric
from lightning_saliency.passes.canvases import CANVASES, RAW_LEVELS, RISE_BLUR, Blur, Canvas, Paint
from lightning_saliency.passes.normalization import ChannelValues, Normalization
from lightning_saliency.passes.trials import Change, Trial
from lightning_saliency.targets import ACTIVATIONS, Activation, Offer


class CanvasMetric(ExplanationMetric):
    """A metric that paints pixels over.

    Args:
        canvas: `"black"`, `"white"`, `"mean"` (the data set's mean colour; where `mean` is not given, each
            image's own) or `"blur"` (the image blurred as RISE does it: 5 pixels, cut at radius 5).
        mean: Mean that the images were normalised with, one value or one per channel; `None` with images in [0, 1].
        std: Standard deviation that they were normalised with.
        name: Key in results and logs; the usual one ends with any canvas but the metric's usual one.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If `canvas` is unknown, or `mean` and `std` are no normalisation.
    """

    usual_canvas: ClassVar[Canvas] = "black"

    canvas: Canvas | None = field(default=None, kw_only=True)
    mean: ChannelValues | None = field(default=None, kw_only=True)
    std: ChannelValues | None = field(default=None, kw_only=True)

    def check(self) -> None:
        """Refuse an unknown canvas and half a normalisation."""
        super().check()
        check_choice("canvas", self.canvas or self.usual_canvas, CANVASES)
        Normalization.of(self.mean, self.std)

    @property
    def usual_name(self) -> str:
        """The class's name, with the canvas unless it is the usual one."""
        canvas = self.paint.canvas
        return type(self).name if canvas == self.usual_canvas else f"{type(self).name}_{canvas}"

    @property
    def blur(self) -> Blur:
        """Which blur the canvas `"blur"` is."""
        return RISE_BLUR

    @property
    def paint(self) -> Paint:
        """The paint over pixels."""
        return Paint(self.canvas or self.usual_canvas, Normalization.of(self.mean, self.std), self.blur)

    @property
    def lacks_normalization(self) -> bool:
        """Whether the canvas is a colour of raw pixels and the normalisation was not given."""
        return self.paint.canvas in RAW_LEVELS and self.mean is None

    def with_normalization(self, mean: ChannelValues, std: ChannelValues) -> Self:
        """Return a metric without scores that takes images normalised with `mean` and `std`."""
        twin: Self = self._respecified(mean=mean, std=std)
        return twin


class ProbabilityMetric(ExplanationMetric):
    """A metric that reads the target's probability.

    Args:
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If `activation` is unknown.
    """

    activation: Activation = field(default="softmax", kw_only=True)

    def check(self) -> None:
        """Refuse an unknown activation."""
        super().check()
        check_choice("activation", self.activation, ACTIVATIONS)

    @property
    def reads(self) -> tuple[Offer, ...]:
        """The target's probability."""
        return ("probability",)

    def probabilities(self, trial: Trial, changes: Sequence[Change]) -> Tensor:
        """Return the targets' probabilities after each change, (B, changes)."""
        return trial.probabilities(changes, self.activation)


class OutcomeMetric(ProbabilityMetric):
    """A metric that reads the target's probability, or its value in its own units where it has no probability."""

    @property
    def reads(self) -> tuple[Offer, ...]:
        """Nothing that a target may lack."""
        return ()

    def outcomes(self, trial: Trial, changes: Sequence[Change]) -> Tensor:
        """Return the targets' probabilities, or else values, after each change, (B, changes)."""
        return trial.outcomes(changes, self.activation)
