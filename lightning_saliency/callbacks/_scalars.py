"""What is logged as numbers: scores, margins over controls, drift, health, cost."""

from collections.abc import Mapping
from math import isfinite
from typing import NamedTuple

from lightning_saliency.callbacks._record import Column, Evaluation
from lightning_saliency.callbacks._settings import Settings, margin_name
from lightning_saliency.callbacks._statistics import mean_and_error


class Scalar(NamedTuple):
    """A number to be logged.

    Attributes:
        value: The number.
        error: Its standard error, where it is a mean over several images.
        num_images: Over how many images.
    """

    value: float
    error: float | None
    num_images: int


def scalars(evaluation: Evaluation, settings: Settings) -> dict[str, Scalar]:
    """Name and compute what is logged; never NaN or infinite."""
    prefix = settings.name
    total = len(evaluation.indices)
    named = {f"{prefix}/seconds": Scalar(evaluation.seconds, None, total)}
    if settings.min_confidence > 0 and evaluation.num_read:
        named[f"{prefix}/used"] = Scalar(total / evaluation.num_read, None, evaluation.num_read)
    for method in settings.methods:
        for name, flags in (("invalid", evaluation.invalid), ("blank", evaluation.blank)):
            named[f"{prefix}/{method}/{name}"] = Scalar(float(evaluation.count(flags, method)), None, total)
    for (method, name), column in {**evaluation.scores, **margins(evaluation, settings), **evaluation.drift}.items():
        values = column.tolist()
        summary = mean_and_error(values)
        if summary is not None:
            mean, error = summary
            count = sum(map(isfinite, values))
            named[f"{prefix}/{method}/{name}"] = Scalar(mean, error if isfinite(error) else None, count)
    return named


def logged_values(named: Mapping[str, Scalar]) -> dict[str, float]:
    """Return values and standard errors by the names that they are logged under."""
    values = {}
    for name, scalar in named.items():
        values[name] = scalar.value
        if scalar.error is not None:
            values[f"{name}_stderr"] = scalar.error
    return values


def bands(values: Mapping[str, float], settings: Settings) -> dict[str, float]:
    """Bound every margin by one standard error each way, as TensorBoard's charts need it."""
    names = [f"{settings.name}/{name}" for name in settings.margins]
    with_error = [(name, values[name], values[f"{name}_stderr"]) for name in names if f"{name}_stderr" in values]
    return {
        f"{name}_{side}": value + sign * error
        for name, value, error in with_error
        for side, sign in (("low", -1), ("high", 1))
    }


def margins(evaluation: Evaluation, settings: Settings) -> Column:
    """Subtract the controls' scores image by image; positive is better, whatever the metric's direction."""
    scores = evaluation.scores
    return {
        (method, margin_name(metric, control)): (1 if settings.metrics[metric].higher_is_better else -1)
        * (column - scores[control, metric])
        for (method, metric), column in scores.items()
        if method in settings.methods
        for control in settings.controls
        if (control, metric) in scores
    }
