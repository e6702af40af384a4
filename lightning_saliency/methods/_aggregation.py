"""The choices that all noise and path methods share: which part of each gradient counts, and how it is guided."""

from typing import Any, TypeAlias

from torch import Tensor

from lightning_saliency._checks import check_choice, check_fraction
from lightning_saliency._types import Maps
from lightning_saliency.passes.guides import GUIDES, Guide, variance_guide
from lightning_saliency.passes.points import Points
from lightning_saliency.passes.statistics import PARTS, Part, Statistic, Variance
from lightning_saliency.passes.stream import Reading

Aggregation: TypeAlias = Part


def check_aggregation(aggregation: object, guide: object, percentile: Any, num_gradients: int, argument: str) -> None:
    """Refuse an unknown part or guide, and a guide where there are too few gradients to vary."""
    check_choice("aggregation", aggregation, PARTS)
    check_choice("guide", guide, GUIDES)
    if percentile is not None:
        check_fraction("percentile", percentile)
    if guide is not None and percentile and num_gradients < 2:
        raise ValueError(
            f"Expected `{argument}` to be at least 2, since one gradient has no variance to guide by, "
            f"but got {num_gradients}: take more, or `guide=None`."
        )


def statistics_of(quantity: Statistic, guide: Guide | None, percentile: float | None) -> tuple[Statistic, ...]:
    """List the statistics: the quantity, and for a guide the gradients' variance."""
    return (quantity, Variance()) if guide and percentile else (quantity,)


def readings_of(
    points: Points, quantity: Statistic, guide: Guide | None, percentile: float | None
) -> tuple[Reading, ...]:
    """List the readings at some points."""
    return tuple(Reading(points, statistic) for statistic in statistics_of(quantity, guide, percentile))


def aggregate(values: tuple[Tensor, ...], guide: Guide | None, percentile: float | None) -> Maps:
    """Multiply a quantity (B, C, *S) by its guide and sum the channels' magnitudes."""
    quantity, *variance = values
    for spread in variance:
        if guide and percentile:
            quantity = quantity * variance_guide(spread, percentile, guide)
    return quantity.abs().sum(dim=1)
