"""Complete methods and metrics by what is known of the data: references, and how images were normalised."""

from collections.abc import Mapping

import torch

from lightning_saliency._saliency_method import as_method
from lightning_saliency.methods import Method
from lightning_saliency.metrics import ExplanationMetric
from lightning_saliency.monitor._normalization import Colours
from lightning_saliency.monitor.batches import are_classes
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.items import Reading
from lightning_saliency.monitor.subset import Subset
from lightning_saliency.passes.normalization import Normalization
from lightning_saliency.passes.references import References


def prepare_methods(
    settings: Settings, subset: Subset, reading: Reading, normalization: Normalization | None, device: torch.device
) -> dict[str, Method]:
    """Give methods the references that they wait for, and tell them how images were normalised."""
    shared: dict[int, References] = {}

    def prepare(name: str, choice: Method) -> Method:
        method = as_method(choice, name)
        number = method.missing_references
        if number is not None:
            if number not in shared:
                drawn = subset.reference_images(number, reading, device)
                shared[number] = References(drawn.images, drawn.labels if are_classes(drawn.labels) else None)
            method = method.with_references(shared[number])
        return method if normalization is None else method.with_normalization(normalization.mean, normalization.std)

    return {name: prepare(name, method) for name, method in settings.all_methods.items()}


def prepare_metrics(settings: Settings, colours: Colours) -> tuple[Mapping[str, ExplanationMetric], dict[str, str]]:
    """Tell metrics that need raw colours how the images were normalised, or leave them out of the default set.

    Returns:
        The metrics, and notes for the user.

    Raises:
        ValueError: If a metric that the user named needs a normalization that is unknown.
    """
    blind = [name for name, metric in settings.metrics.items() if metric.lacks_normalization]
    normalization = colours.normalization
    if normalization is not None:
        metrics = {
            name: metric.with_normalization(normalization.mean, normalization.std) if name in blind else metric
            for name, metric in settings.metrics.items()
        }
        return metrics, {}
    if blind and not settings.metrics_are_default:
        raise ValueError(
            f"Expected to find how images were normalised for metric {blind[0]!r}, since they do not lie in [0, 1], "
            f"but {colours.source}: pass `mean` and `std`."
        )
    note = (
        f"Metrics {blind} are left out, because images do not lie in [0, 1] and their normalization is unknown "
        f"({colours.source}): pass `mean` and `std`."
    )
    metrics = {name: metric for name, metric in settings.metrics.items() if name not in blind}
    return metrics, {"normalization": note} if blind else {}
