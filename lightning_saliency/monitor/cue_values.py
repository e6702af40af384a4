"""The numbers that say how much a network follows cues."""

from collections.abc import Iterator

from lightning_saliency.following import Alarm, Estimate, Following
from lightning_saliency.monitor._scalars import Scalar
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.evaluation import Evaluation
from lightning_saliency.names import ALARM, CONFLICT, CUES, WORST, LoggedName


def cue_scalars(evaluation: Evaluation, settings: Settings) -> dict[str, Scalar]:
    """Return by name how much each cue is followed, in the mean and by the class that follows it most.

    For a cue in conflict with the rest of the host its lead, E - S, comes besides. A cue without a value is left out.
    """
    scalars = {}
    for following in evaluation.followings.values():
        if not following.absence:
            for suffix, estimate, number in _estimates(following):
                name = LoggedName(settings.name, following.name + suffix, CUES)
                scalars[str(name)] = Scalar(estimate.value, estimate.stderr, number)
    return scalars


def alarm_scalar(decision: Alarm, settings: Settings, num_images: int) -> dict[str, Scalar]:
    """Return the state of the alarm by its name."""
    return {str(LoggedName(settings.name, ALARM)): Scalar(float(decision.state), None, num_images)}


def _estimates(following: Following) -> Iterator[tuple[str, Estimate, int]]:
    effect = following.effect
    yield "", effect.mean, len(following.indices)
    classes = effect.of_classes()
    if classes:
        worst = max(classes, key=lambda label: classes[label].above(2))
        yield WORST, classes[worst], int((following.labels == worst).sum())
    if following.cue.evidence == "conflict":
        yield CONFLICT, following.conflict.mean, len(following.indices)
