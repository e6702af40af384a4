"""What all methods with a baseline do alike with their arguments."""

from typing import Any

from torch import Tensor

from lightning_saliency.passes.references import Colours, References, Start


def own_baseline(baseline: Start | References | Tensor) -> Start | References:
    """Wrap a user's image, so that the method can be compared and hashed."""
    return References(baseline) if isinstance(baseline, Tensor) else baseline


def own_colours(colours: Any) -> Colours:
    """Make numbers of what may be a list or a tensor, so that the method can be hashed."""
    if colours is None or isinstance(colours, (int, float)):
        return None if colours is None else float(colours)
    return tuple(float(value) for value in colours)
