"""What insertion and deletion share: steps of exactly counted pixels between the image and a canvas."""

from collections.abc import Sequence
from functools import partial
from typing import Final, Literal, NamedTuple, TypeAlias

import torch

from lightning_saliency._checks import check_choice, check_integer
from lightning_saliency._types import Images, Scores
from lightning_saliency.metrics._canvas_metric import CanvasMetric
from lightning_saliency.passes.colours import RISE_BLUR, Canvas
from lightning_saliency.passes.predictions import Change
from lightning_saliency.passes.trials import Measured, Trial

Preset: TypeAlias = Literal["guided_absolute_grad"]
PRESETS: Final = (None, "guided_absolute_grad")
USUAL_STEPS: Final = 20


class Protocol(NamedTuple):
    """How a paper walks from the image to the canvas."""

    fractions: tuple[float, ...]
    blur: tuple[float, int]


def protocol_of(steps: int | None, canvas: Canvas | None, preset: Preset | None) -> Protocol:
    """Choose the steps, and refuse a preset together with what it decides."""
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


def partly_painted(metric: CanvasMetric, trial: Trial, kind: Literal["insert", "delete"], painted: int) -> Change:
    """Paint over this many of the most salient pixels (deletion), or of the least salient ones (insertion)."""
    if painted == 0:
        return trial.predict.intact
    paint = metric.paint
    if painted == trial.num_positions:
        return Change(("cover all", paint), lambda: trial.canvas(paint).expand_as(trial.images))
    return trial.change(kind, painted, paint, make=partial(_painted, metric, trial, kind, painted))


def _painted(metric: CanvasMetric, trial: Trial, kind: Literal["insert", "delete"], painted: int) -> Images:
    mask = trial.most_salient(painted) if kind == "delete" else trial.least_salient(painted)
    return trial.covered(mask, trial.canvas(metric.paint))


def area(probabilities: list[Scores], fractions: Sequence[float]) -> Measured:
    """Integrate the probabilities over the fractions by the trapezoid rule."""
    curves = torch.stack(probabilities, dim=1)
    return Measured(torch.trapezoid(curves, curves.new_tensor(fractions), dim=1), curves)
