"""Every exported method and metric, so that new ones are in the contract by being exported."""

import functools
import inspect
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from lightning_saliency import methods, metrics
from lightning_saliency.methods import Method
from lightning_saliency.metrics import ExplanationMetric
from lightning_saliency.passes.references import References
from tests.models import pictures

METHOD_ARGUMENTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "ExpectedGradCAM": lambda channels: {"references": references(channels)},
    "ExpectedGradients": lambda channels: {"references": references(channels)},
}
"""How to construct methods that need arguments, by class name."""

METRIC_ARGUMENTS: dict[str, Callable[[], dict[str, Any]]] = {}
"""How to construct metrics that need arguments, by class name."""


def concrete(module: ModuleType) -> list[type]:
    """List the exported classes that can be called once they are constructed."""
    exported = [getattr(module, name) for name in module.__all__]
    return [
        member
        for member in exported
        if inspect.isclass(member)
        and not inspect.isabstract(member)
        and not getattr(member, "_is_protocol", False)
        and any("__call__" in vars(base) for base in member.__mro__)
    ]


# Constructed here: the run-time checks of its types, which tests alone have, draw random numbers.
EXPLAINER = methods.IntegratedGradients(4)

METHODS: list[type] = concrete(methods)
METRICS: list[type[ExplanationMetric]] = [
    member for member in concrete(metrics) if issubclass(member, ExplanationMetric)
]


@functools.cache
def references(channels: int) -> References:
    """Make reference images of the size of the others in these tests."""
    return References(pictures(4, channels=channels, seed=11)[0])


def build_method(kind: type, channels: int = 3, **options: Any) -> Method:
    needed = METHOD_ARGUMENTS.get(kind.__name__, lambda _: {})(channels)
    return kind(**{**needed, **options})


def build_metric(kind: type[ExplanationMetric], **options: Any) -> ExplanationMetric:
    return kind(**METRIC_ARGUMENTS.get(kind.__name__, dict)(), **options)


def needs_of(metric: ExplanationMetric, maps: Tensor) -> dict[str, Any]:
    """Give a metric what it declares to need."""
    masks = torch.zeros_like(maps, dtype=torch.bool)
    masks[..., : maps.shape[-1] // 2] = True
    arguments = {"methods": {"maps": EXPLAINER}, "masks": masks}
    return {need: arguments[need] for need in metric.needs}


def bounds_of(metric: ExplanationMetric) -> tuple[float, float]:
    """Least and greatest score that the class declares."""
    low, high = metric.plot_lower_bound, metric.plot_upper_bound
    return -math.inf if low is None else low, math.inf if high is None else high
