"""The numbers of an evaluation: scores, margins over controls, drift, health, cost."""

from collections.abc import Mapping
from functools import partial
from math import isfinite
from typing import NamedTuple

from torch import Tensor

from lightning_saliency.monitor._statistics import mean_and_error
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.evaluation import Evaluation
from lightning_saliency.names import COUNTS, LoggedName


class Scalar(NamedTuple):
    """A number that an evaluation computed.

    Attributes:
        value: The number.
        error: Its standard error, where it is a mean over several images.
        num_images: Over how many images.
    """

    value: float
    error: float | None
    num_images: int


def scalars(evaluation: Evaluation, settings: Settings) -> dict[str, Scalar]:
    """Name and compute all values; never NaN or infinite."""
    name = partial(LoggedName, settings.name)
    total = len(evaluation.indices)
    named = {name("seconds"): Scalar(evaluation.seconds, None, total)}
    if settings.min_confidence > 0 and evaluation.num_read:
        named[name("used")] = Scalar(total / evaluation.num_read, None, evaluation.num_read)
    if evaluation.left_out:
        num_chosen = evaluation.num_read + len(evaluation.left_out)
        named[name("left_out")] = Scalar(float(len(evaluation.left_out)), None, num_chosen)
    # A default method that cannot explain the network has no maps.
    for method in settings.methods if not total else [each for each in settings.methods if each in evaluation.blank]:
        for kind, flags in zip(COUNTS, (evaluation.invalid, evaluation.blank), strict=True):
            named[name(kind, method)] = Scalar(float(evaluation.count(flags, method)), None, total)
    columns = {name(metric, method): column for (method, metric), column in evaluation.scores.items()}
    columns |= margins(evaluation, settings)
    columns |= {
        name(measure, method, since=since): column for (method, measure, since), column in evaluation.drift.items()
    }
    for key, column in columns.items():
        values = column.tolist()
        summary = mean_and_error(values)
        if summary is not None:
            mean, error = summary
            named[key] = Scalar(mean, error if isfinite(error) else None, sum(map(isfinite, values)))
    return {str(key): scalar for key, scalar in named.items()}


def named_values(named: Mapping[str, Scalar], monitor: str) -> dict[str, float]:
    """Return values, standard errors, and margins one standard error lower and higher, by name.

    Args:
        named: Values by name.
        monitor: Name of the monitor.
    """
    values = {}
    for text, scalar in named.items():
        values[text] = scalar.value
        name = LoggedName.parse(text, monitor)
        if name is not None and scalar.error is not None:
            values[str(name.of("stderr"))] = scalar.error
            if name.kind == "margin":
                values[str(name.of("low"))] = scalar.value - scalar.error
                values[str(name.of("high"))] = scalar.value + scalar.error
    return values


def margins(evaluation: Evaluation, settings: Settings) -> dict[LoggedName, Tensor]:
    """Subtract the controls' scores image by image; positive is better, whatever the metric's direction."""
    scores = evaluation.scores
    return {
        LoggedName(settings.name, metric, method, control): (1 if settings.metrics[metric].higher_is_better else -1)
        * (column - scores[control, metric])
        for (method, metric), column in scores.items()
        if method in settings.methods
        for control in settings.controls
        if (control, metric) in scores
    }
