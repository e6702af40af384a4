"""Tables of scores by class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightning_saliency.monitor.by_class import ClassScores, scores_by_class
from lightning_saliency.monitor.directions import usual_directions
from lightning_saliency.report._log import ImageScores, Score
from lightning_saliency.report._monitor import Monitor
from lightning_saliency.report._numbers import with_error


@dataclass(frozen=True)
class ClassTable:
    """The scores of one metric, with a row for each class.

    Attributes:
        metric: The metric.
        methods: Methods and controls.
        rows: Name of the class, or else its number; number of its images; a text for each method, `None` where it has
            no score.
    """

    metric: str
    methods: Sequence[str]
    rows: Sequence[tuple[int | str, int, Sequence[str | None]]]


def class_tables(monitor: Monitor, scores: ImageScores) -> list[ClassTable]:
    """Average scores by class, worst for the first method first where the direction of the metric is known."""
    by_metric = {metric: [score for score in scores.rows if score[2] == metric] for metric in _metrics(scores.rows)}
    return [_table(metric, monitor, rows, scores.class_names) for metric, rows in by_metric.items()]


def _metrics(scores: Sequence[Score]) -> list[str]:
    return list(dict.fromkeys(metric for _, _, metric, _ in scores))


def _table(metric: str, monitor: Monitor, scores: Sequence[Score], names: Mapping[int, str]) -> ClassTable:
    there = dict.fromkeys(method for _, method, _, _ in scores)
    methods = [method for method in (*monitor.methods, *monitor.controls) if method in there]
    direction = usual_directions().get(metric)
    worst_by = ((methods[0], metric), direction) if methods and direction is not None else None
    classes = scores_by_class(scores, worst_by)
    return ClassTable(metric, methods, [_row(each, metric, methods, names) for each in classes])


def _row(
    scores: ClassScores, metric: str, methods: Sequence[str], names: Mapping[int, str]
) -> tuple[int | str, int, list[str | None]]:
    means = [scores.means.get((method, metric)) for method in methods]
    target = names.get(scores.target, scores.target)
    return target, scores.num_images, [None if mean is None else with_error(*mean) for mean in means]
