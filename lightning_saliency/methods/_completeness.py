"""A warning where an attribution along a path sums to something else than the logit's change."""

import math
from typing import Final

import torch

from lightning_saliency._checks import warn_once
from lightning_saliency.passes.comparisons import is_comparing
from lightning_saliency.passes.path_statistics import Accounted

MOST_MISSING: Final = 0.2
LEAST_CHANGE: Final = 1.0


def warn_of_gap(name: str, num_steps: int, accounted: Accounted, way_out: str) -> None:
    """Warn where contributions miss the change of the target's value; small changes may be due to rounding alone.

    Nothing is read from the device for maps that a metric makes of changed images or networks.
    """
    if is_comparing():
        return
    missing, change = torch.stack(
        [(accounted.total - accounted.change).abs().mean(), accounted.change.abs().mean()]
    ).tolist()
    share = missing / change if change >= LEAST_CHANGE else 0.0
    if MOST_MISSING < share < math.inf:
        warn_once(
            f"{num_steps} steps of {name!r} leave a completeness error of about {round(100 * share, -1):.0f} %: "
            "attributions do not sum to the change of the target's value between baseline and image, and other numbers "
            f"of steps give other maps. {way_out}"
        )
