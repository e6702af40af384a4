"""Scores by class as a table in Markdown, for the card."""

from collections.abc import Iterator, Mapping
from typing import Final

from lightning_saliency.monitor._markup import escaped
from lightning_saliency.monitor.by_class import ClassScores, Key, scores_by_class
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.evaluation import Evaluation

MOST_CLASSES: Final = 20


def class_table(evaluation: Evaluation, settings: Settings) -> str:
    """Write a section on the classes with the worst scores; nothing if there are no scores."""
    keys = [key for key in evaluation.scores if key[0] in settings.methods]
    if not keys:
        return ""
    first = keys[0]
    worst_by = first, bool(settings.metrics[first[1]].higher_is_better)
    classes = scores_by_class(_scores(evaluation, keys), worst_by)
    if not classes:
        return ""
    named = f"Means of the first evaluation by class, worst {escaped(first[1])} of {escaped(first[0])} first"
    limit = f"; {MOST_CLASSES} of {len(classes)} classes." if len(classes) > MOST_CLASSES else "."
    names = evaluation.class_names
    header = ["class", "images", *(f"{escaped(method)} {escaped(metric)}" for method, metric in keys)]
    lines = [
        header,
        ["---"] * len(header),
        *(_line(each, keys, names) for each in classes[:MOST_CLASSES]),
    ]
    return f"## Scores by class\n\n{named}{limit}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _scores(evaluation: Evaluation, keys: list[Key]) -> Iterator[tuple[int, str, str, float]]:
    targets = evaluation.targets.tolist()
    for method, metric in keys:
        for target, score in zip(targets, evaluation.scores[method, metric].tolist(), strict=True):
            if target >= 0:  # and not a text
                yield target, method, metric, score


def _line(scores: ClassScores, keys: list[Key], names: Mapping[int, str]) -> list[str]:
    name = escaped(names.get(scores.target, scores.target))
    return [name, str(scores.num_images), *(_cell(scores, key) for key in keys)]


def _cell(scores: ClassScores, key: Key) -> str:
    if key not in scores.means:
        return "-"
    mean, error = scores.means[key]
    return f"{mean:.3f}" if error is None else f"{mean:.3f} ± {error:.3f}"
