"""Scores by class: where explanations are worst."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite

from lightning_saliency.monitor._statistics import mean_and_error

# Method and metric.
Key = tuple[str, str]


@dataclass(frozen=True)
class ClassScores:
    """Scores of the images of one class.

    Attributes:
        target: The class that is explained.
        num_images: Number of its images that have a score.
        means: Mean and standard error by method and metric; the error is `None` where it is not finite.
    """

    target: int
    num_images: int
    means: Mapping[Key, tuple[float, float | None]]


def scores_by_class(
    scores: Iterable[tuple[int, str, str, float]], worst_by: tuple[Key, bool] | None
) -> list[ClassScores]:
    """Average scores by class.

    Args:
        scores: Target, method, metric and score of every image.
        worst_by: Method and metric that order the classes, worst first, and whether higher is better; `None` leaves
            classes in the order of their numbers.

    Returns:
        The classes that have a score.

    Example:
        >>> scores = [(0, "grad", "rcap", 0.5), (1, "grad", "rcap", 0.1), (1, "grad", "rcap", 0.3)]
        >>> [each.target for each in scores_by_class(scores, (("grad", "rcap"), True))]
        [1, 0]
    """
    collected: dict[int, dict[Key, list[float]]] = {}
    for target, method, metric, score in scores:
        if isfinite(score):
            collected.setdefault(target, {}).setdefault((method, metric), []).append(score)
    classes = [_class_scores(target, columns) for target, columns in sorted(collected.items())]
    if worst_by is None:
        return classes
    key, higher_is_better = worst_by
    return sorted(classes, key=lambda each: _badness(each, key, higher_is_better=higher_is_better))


def _class_scores(target: int, columns: Mapping[Key, list[float]]) -> ClassScores:
    summaries = {key: mean_and_error(values) for key, values in columns.items()}
    means = {
        key: (mean, error if isfinite(error) else None)
        for key, (mean, error) in ((key, summary) for key, summary in summaries.items() if summary is not None)
    }
    return ClassScores(target, max(map(len, columns.values())), means)


def _badness(scores: ClassScores, key: Key, *, higher_is_better: bool) -> tuple[bool, float]:
    """Order by a mean, worst first; a class without one comes last."""
    mean, _ = scores.means.get(key, (0.0, None))
    return key not in scores.means, mean if higher_is_better else -mean
