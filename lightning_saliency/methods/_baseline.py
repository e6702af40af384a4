"""Arguments that all methods with a baseline share."""

from typing import Any

from torch import Tensor

from lightning_saliency._checks import check_choice
from lightning_saliency.passes.colours import CANVASES, Canvas, check_colours
from lightning_saliency.passes.references import Baseline, PerChannel, References


def baseline_of(start: Canvas | References | Tensor, mean: Any, std: Any) -> Baseline:
    """Check the start of a path, and make it comparable and hashable."""
    if isinstance(start, Tensor):
        start = References(start)
    if not isinstance(start, References):
        check_choice("baseline", start, CANVASES)
    check_colours(mean, std)
    return Baseline(start, _per_channel(mean), _per_channel(std))


def set_baseline(method: Any) -> None:
    """Replace the fields `baseline`, `mean` and `std` of a frozen method by checked, hashable values."""
    baseline = baseline_of(method.baseline, method.mean, method.std)
    for field, value in (("baseline", baseline.start), ("mean", baseline.mean), ("std", baseline.std)):
        object.__setattr__(method, field, value)


def _per_channel(values: Any) -> PerChannel:
    """Make numbers of a list or a tensor."""
    if values is None or isinstance(values, (int, float)):
        return None if values is None else float(values)
    return tuple(float(value) for value in values)
