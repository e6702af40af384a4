"""Arguments that all methods with a baseline share."""

from typing import Any

from torch import Tensor

from lightning_saliency._checks import check_choice
from lightning_saliency.passes.canvases import CANVASES, Canvas
from lightning_saliency.passes.normalization import Normalization
from lightning_saliency.passes.references import Baseline, References


def baseline_of(start: Canvas | References | Tensor, mean: Any, std: Any) -> Baseline:
    """Check the start of a path, and make it comparable and hashable."""
    if isinstance(start, Tensor):
        start = References(start)
    if not isinstance(start, References):
        check_choice("baseline", start, CANVASES)
    return Baseline(start, Normalization.of(mean, std))


def set_baseline(method: Any) -> None:
    """Replace the fields `baseline`, `mean` and `std` of a frozen method by checked, hashable values."""
    baseline = baseline_of(method.baseline, method.mean, method.std)
    object.__setattr__(method, "baseline", baseline.start)
    if baseline.normalization is not None:
        object.__setattr__(method, "mean", baseline.normalization.mean)
        object.__setattr__(method, "std", baseline.normalization.std)
