"""The common part of insertion and deletion: steps of exactly counted pixels between the image and a canvas."""

from abc import abstractmethod
from dataclasses import field
from typing import Final, Literal, TypeAlias

import torch

from lightning_saliency._checks import check_choice, check_integer
from lightning_saliency.metrics._canvas_metric import CanvasMetric, OutcomeMetric
from lightning_saliency.metrics._curve import CurveMetric
from lightning_saliency.metrics._normalized import NormalizedMetric
from lightning_saliency.passes.canvases import Canvas
from lightning_saliency.passes.trials import Change, Measured, Trial

Preset: TypeAlias = Literal["guided_absolute_grad"]
PRESETS: Final = (None, "guided_absolute_grad")
USUAL_STEPS: Final = 20


class PixelStepsMetric(NormalizedMetric, CanvasMetric, OutcomeMetric, CurveMetric):
    """A metric whose score is the area under the target's probability, or value, along steps of counted pixels."""

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    steps: int | None = None
    canvas: Canvas | None = field(default=None, kw_only=True)
    preset: Preset | None = field(default=None, kw_only=True)

    def check(self) -> None:
        """Refuse a preset together with what it decides."""
        super().check()
        check_choice("preset", self.preset, PRESETS)
        if self.preset is not None and (self.steps is not None or self.canvas is not None):
            raise ValueError(
                f"Expected `preset` alone, but got {self.preset!r} with steps={self.steps!r} and "
                f"canvas={self.canvas!r}: leave out one or the other."
            )
        if self.steps is not None:
            check_integer("steps", self.steps, minimum=1)

    @property
    def points(self) -> tuple[float, ...]:
        """The fractions of the pixels that are inserted or deleted."""
        if self.preset is not None:
            return tuple(step / 10 for step in range(10))
        steps = self.steps or USUAL_STEPS
        return tuple(step / steps for step in range(steps + 1))

    @abstractmethod
    def change(self, count: int) -> Change:
        """Insert or delete this many of the most salient pixels."""

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps: the trapezoid over the shares of pixels that really were inserted or deleted."""
        counts = [round(fraction * trial.num_positions) for fraction in self.points]
        curves = self.relative(trial, self.outcomes(trial, [self.change(count) for count in counts]))
        shares = torch.tensor(counts, dtype=torch.float64) / trial.num_positions
        return Measured(torch.trapezoid(curves, shares.to(curves), dim=1), curves)
