"""What all methods with a baseline do alike with their arguments."""

from typing import Any

from torch import Tensor

from lightning_saliency._checks import check_choice
from lightning_saliency.passes.colours import check_colours
from lightning_saliency.passes.references import STARTS, Baseline, Colours, References, Start


def baseline_of(start: Start | References | Tensor, mean: Any, std: Any) -> Baseline:
    """Check what a path starts from, and make it comparable and hashable."""
    if isinstance(start, Tensor):
        start = References(start)
    if not isinstance(start, References):
        check_choice("baseline", start, STARTS)
    check_colours(mean, std)
    return Baseline(start, _as_colours(mean), _as_colours(std))


def _as_colours(values: Any) -> Colours:
    """Make numbers of what may be a list or a tensor."""
    if values is None or isinstance(values, (int, float)):
        return None if values is None else float(values)
    return tuple(float(value) for value in values)
