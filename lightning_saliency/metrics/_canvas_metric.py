"""What metrics share that paint pixels over: a canvas and the colours that it takes."""

from collections.abc import Sequence
from typing import Any, ClassVar

from lightning_saliency._checks import check_choice
from lightning_saliency._types import Scores
from lightning_saliency.metrics._metric import ExplanationMetric
from lightning_saliency.metrics._probability import ACTIVATIONS, Activation, target_probability
from lightning_saliency.passes.colours import (
    CANVASES,
    RAW_LEVELS,
    RISE_BLUR,
    Canvas,
    ChannelValues,
    Paint,
    check_colours,
    paint_of,
)
from lightning_saliency.passes.predictions import Change
from lightning_saliency.passes.trials import Trial


class CanvasMetric(ExplanationMetric):
    """A metric that paints pixels over and reads the target's probability.

    Args:
        canvas: `"black"`, `"white"`, `"mean"` (the data set's mean colour; where `mean` is not given, each
            image's own) or `"blur"` (the image blurred as RISE does it: 5 pixels, cut at radius 5).
        mean: Mean that the images were normalised with, one value or one per channel; `None` with images in [0, 1].
        std: Standard deviation that they were normalised with.
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        options: Further hyper-parameters, as in `ExplanationMetric`.
        points: As in `ExplanationMetric`.
        name: Key in results and logs; the usual one has any canvas but the metric's usual one behind it.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If `canvas` or `activation` is unknown, or `mean` and `std` are no normalisation.
    """

    usual_canvas: ClassVar[Canvas] = "black"

    def __init__(
        self,
        canvas: Canvas = "black",
        *,
        mean: ChannelValues | None = None,
        std: ChannelValues | None = None,
        activation: Activation = "softmax",
        options: Sequence[object] = (),
        points: Sequence[float] = (),
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice("canvas", canvas, CANVASES)
        check_choice("activation", activation, ACTIVATIONS)
        check_colours(mean, std)
        usual = type(self).name if canvas == self.usual_canvas else f"{type(self).name}_{canvas}"
        super().__init__(options=(canvas, mean, std, activation, *options), points=points, name=name or usual, **kwargs)
        self.canvas: Canvas = canvas
        self.activation: Activation = activation
        self.mean, self.std = mean, std
        self.blur = RISE_BLUR
        self.needs_colours = canvas in RAW_LEVELS

    @property
    def paint(self) -> Paint:
        """What pixels are painted over with."""
        return paint_of(self.canvas, self.mean, self.std, self.blur)

    def probabilities(self, trial: Trial, changes: Sequence[Change]) -> list[Scores]:
        """Return the targets' probabilities (B,) after each change."""
        logits = trial.predict(changes)
        return [target_probability(found, trial.targets, self.activation) for found in logits]
