"""Complete methods and metrics by what is known of the data: references, and how images were normalised."""

from collections.abc import Mapping
from dataclasses import is_dataclass, replace
from typing import Any, cast

import torch

from lightning_saliency.methods import Method
from lightning_saliency.metrics import ExplanationMetric
from lightning_saliency.monitor._colours import Colours
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.subset import Reading, Subset
from lightning_saliency.passes.references import References


def prepare_methods(
    settings: Settings, subset: Subset, reading: Reading, normalisation: Colours | None, device: torch.device
) -> dict[str, Method]:
    """Give methods the references that they wait for, and tell them how images were normalised."""
    shared: dict[int, References] = {}

    def prepare(method: Any) -> Any:
        number = getattr(method, "references", None)
        if isinstance(number, int) and hasattr(method, "with_references"):
            if number not in shared:
                shared[number] = References(subset.reference_images(number, reading, device))
            method = method.with_references(shared[number])
        if normalisation is not None and is_dataclass(method) and getattr(method, "mean", 0) is None:
            method = replace(cast("Any", method), mean=normalisation.mean, std=normalisation.std)
        return method

    return {name: prepare(method) for name, method in settings.all_methods.items()}


def prepare_metrics(
    settings: Settings, normalisation: Colours | None
) -> tuple[Mapping[str, ExplanationMetric], dict[str, str]]:
    """Tell metrics that need raw colours how the images were normalised, or leave them out of the default set.

    Returns:
        The metrics, and notes for the user.

    Raises:
        ValueError: If a metric that the user named needs a normalisation that is unknown.
    """
    blind = [name for name, metric in settings.metrics.items() if metric.needs_colours and not metric.knows_colours]
    if normalisation is not None:
        metrics = {
            name: metric.with_colours(*normalisation) if name in blind else metric
            for name, metric in settings.metrics.items()
        }
        return metrics, {}
    if blind and not settings.metrics_are_default:
        raise ValueError(
            f"Expected to find how images were normalised for metric {blind[0]!r}, since they do not lie in [0, 1], "
            "but got no `Normalize` among the data set's transforms and no timm configuration: pass `mean` and `std`."
        )
    note = (
        f"Metrics {blind} are left out, because images do not lie in [0, 1] and their normalisation is unknown: "
        "pass `mean` and `std` to SaliencyMonitor."
    )
    metrics = {name: metric for name, metric in settings.metrics.items() if name not in blind}
    return metrics, {"normalisation": note} if blind else {}
