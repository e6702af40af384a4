"""From an evaluation to what is told of it: a summary, rows of a table, complaints."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from lightning_saliency.following import Alarm
from lightning_saliency.monitor._scalars import Scalar, scalars
from lightning_saliency.monitor.alarms import decide
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.cue_values import alarm_scalar, cue_scalars
from lightning_saliency.monitor.evaluation import Evaluation
from lightning_saliency.monitor.fault import Fault
from lightning_saliency.names import LoggedName

MOST_REASONS: Final = 3
MOST_LISTED: Final = 5


@dataclass(frozen=True)
class Outcome:
    """The part of an evaluation that every process has to know.

    Attributes:
        scalars: Everything that was computed, by name.
        num_read: Number of images that were read.
        seconds: Time that the slowest process took.
        training_seconds: Time of the epoch so far without evaluations; `None` outside of training and where it is not
            known.
        batch_size: Most images in one pass that every process had memory for.
        pictured: Images whose thumbnails the first process needs.
        publishes: Whether the first process has loggers to send results to.
        drift_restarts: Whether the images are other ones than those that are remembered.
        fault: Why nothing is logged.
        loss: Why there is nothing to remember: not a single map was finite.
        alarm: The decision on the cues that the network follows, where cues were put into hosts.
    """

    scalars: dict[str, Scalar] = field(default_factory=dict)
    num_read: int = 0
    seconds: float = 0.0
    training_seconds: float | None = None
    batch_size: int = 0
    pictured: tuple[int, ...] = ()
    publishes: bool = False
    drift_restarts: bool = False
    fault: Fault | None = None
    loss: Fault | None = None
    alarm: Alarm | None = None


def summarise(
    evaluation: Evaluation, settings: Settings, *, drift_restarts: bool, previous: Alarm | None = None
) -> tuple[Evaluation, Outcome]:
    """Compute the values of the evaluation of all processes, and leave out drift where it restarts.

    Args:
        evaluation: The results of all processes.
        settings: The monitor's settings.
        drift_restarts: Whether the images are other ones than those that are remembered.
        previous: The decision on cues of the evaluation before, in training.
    """
    if evaluation.fault is not None:
        return evaluation, Outcome(fault=evaluation.fault)
    if not evaluation.num_read:
        reason = left_out(evaluation) or "no validation image was seen"
        return evaluation, Outcome(fault=Fault(False, f"NoImages: {reason}"))
    if drift_restarts:
        evaluation = replace(evaluation, drift={})
    try:
        named = scalars(evaluation, settings) | cue_scalars(evaluation, settings)
        decision = decide(evaluation, settings, previous) if evaluation.followings else None
        if decision is not None:
            named |= alarm_scalar(decision, settings, evaluation.num_donors)
    except Exception as error:  # noqa: BLE001 - a score that cannot be averaged must not stop training
        return evaluation, Outcome(fault=Fault.of(error))
    return evaluation, Outcome(
        scalars=named,
        num_read=evaluation.num_read,
        seconds=evaluation.seconds,
        batch_size=evaluation.batch_size,
        drift_restarts=drift_restarts,
        loss=total_loss(evaluation, settings),
        alarm=decision,
    )


def rows(evaluation: Evaluation, epoch: int, step: int) -> Iterator[tuple[object, ...]]:
    """List every score of every image: step, epoch, index, target, predicted, class name, method, metric, score."""
    numbers = evaluation.targets.tolist()
    names = [evaluation.class_names.get(number, "") for number in numbers]
    # A negative number stands for a target that is no class, whose text is its name.
    targets = [name if number < 0 else number for number, name in zip(numbers, names, strict=True)]
    names = ["" if number < 0 else name for number, name in zip(numbers, names, strict=True)]
    predicted = ["" if number < 0 else number for number in evaluation.predicted.tolist()]
    images = list(zip(evaluation.indices.tolist(), targets, predicted, names, strict=True))
    columns = {LoggedName("", metric, method): column for (method, metric), column in evaluation.scores.items()}
    columns |= {
        LoggedName("", measure, method, since=since): column
        for (method, measure, since), column in evaluation.drift.items()
    }
    for name, column in columns.items():
        for image, value, is_number in zip(images, column.tolist(), column.isfinite().tolist(), strict=True):
            if is_number:
                yield (step, epoch, *image, name.method, name.key, value)


def value_rows(scalars: Mapping[str, Scalar], epoch: int, step: int) -> Iterator[tuple[object, ...]]:
    """List every value of an evaluation: epoch, step, name, value, standard error, number of images."""
    for name, scalar in scalars.items():
        yield (epoch, step, name, scalar.value, scalar.error, scalar.num_images)


def complaints(evaluation: Evaluation, settings: Settings) -> dict[str, str]:
    """Say what is unhealthy about maps, by a key that lets each be said once."""
    total = len(evaluation.indices)
    invalid = {method: evaluation.count(evaluation.invalid, method) for method in settings.methods}
    blank = {method: evaluation.count(evaluation.blank, method) for method in settings.methods}
    messages = {}
    if evaluation.left_out:
        messages["left out"] = left_out(evaluation)
    if any(invalid.values()):
        messages["invalid"] = (
            f"{_listed(invalid, total)} are not finite and left out: "
            "look for exploding weights or logits, or for a division or root whose gradient is infinite."
        )
    # A few blank maps are usual, and logged.
    if any(2 * count >= max(total, 1) for count in blank.values()):
        often = {method: count for method, count in blank.items() if 2 * count >= max(total, 1)}
        messages["blank"] = (
            f"{_listed(often, total)} are constant, so their scores carry no information: "
            "gradients may vanish (dead or saturated activations), be all negative (class activation maps), "
            "or not vary (a guide by variance)."
        )
    return messages


def left_out(evaluation: Evaluation) -> str:
    """Say how many images could not be used, and why; empty where all could be."""
    images_by_reason: dict[str, list[int]] = {}
    for index, reason in sorted(evaluation.left_out.items()):
        images_by_reason.setdefault(reason, []).append(index)
    reasons = [f"{_some(images)}: {reason}" for reason, images in list(images_by_reason.items())[:MOST_REASONS]]
    others = len(images_by_reason) - len(reasons)
    more = f"; and {others} other reason(s)" if others else ""
    count, total = len(evaluation.left_out), evaluation.num_read + len(evaluation.left_out)
    return f"{count} of {total} images are left out of all scores. {'; '.join(reasons)}{more}." if count else ""


def _some(images: list[int]) -> str:
    listed = ", ".join(map(str, images[:MOST_LISTED]))
    return f"Image {listed}" + (f" and {len(images) - MOST_LISTED} more" if len(images) > MOST_LISTED else "")


def total_loss(evaluation: Evaluation, settings: Settings) -> Fault | None:
    """Take it for a fault if not a single map is finite."""
    total = len(evaluation.indices)
    if total and all(evaluation.count(evaluation.invalid, method) == total for method in settings.methods):
        return Fault(False, f"NoFiniteMap: {complaints(evaluation, settings)['invalid']}")
    return None


def _listed(counts: dict[str, int], total: int) -> str:
    return ", ".join(f"{count} of {total} maps of {method!r}" for method, count in counts.items() if count)
