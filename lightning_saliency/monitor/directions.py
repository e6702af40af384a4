"""Which direction of a logged value is better, by its name alone."""

from inspect import isabstract

from lightning_saliency import metrics
from lightning_saliency.drift import DRIFT_MEASURES
from lightning_saliency.metrics import ExplanationMetric
from lightning_saliency.names import LoggedName


def direction_by_name(name: str, monitor: str) -> bool | None:
    """Return whether higher is better, `None` where neither is, or where the name is not one of this package's.

    Args:
        name: Name of a logged value.
        monitor: Name of the monitor that logged it.

    Example:
        >>> direction_by_name("saliency/grad_cam/rcap", "saliency")
        True
        >>> direction_by_name("saliency/grad_cam/drift_center_shift", "saliency")
        False
    """
    value = LoggedName.parse(name, monitor)
    return None if value is None else value.higher_is_better(usual_directions())


def usual_directions() -> dict[str, bool]:
    """List the directions of the package's metrics and drift measures by their usual names."""
    exported = (getattr(metrics, name) for name in metrics.__all__)
    kinds = [kind for kind in exported if isinstance(kind, type) and issubclass(kind, ExplanationMetric)]
    directions = {kind.name: kind.higher_is_better for kind in kinds if not isabstract(kind)}
    return directions | {name: measure.higher_is_better for name, measure in DRIFT_MEASURES.items()}
