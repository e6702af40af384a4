"""From the results of each process to what all of them know: merged and decided on by the first one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import lightning.pytorch as pl

from lightning_saliency.callbacks._distributed import send_to_first, tell_everyone
from lightning_saliency.callbacks._lightning import publishes
from lightning_saliency.following import Alarm
from lightning_saliency.monitor._clock import EpochClock
from lightning_saliency.monitor._scalars import Scalar
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.drawing import drawn_images
from lightning_saliency.monitor.evaluated import Evaluated
from lightning_saliency.monitor.evaluation import Evaluation, Parcel, merge, pack, unpack
from lightning_saliency.monitor.fault import Fault
from lightning_saliency.monitor.memory import Memory, drift_of
from lightning_saliency.monitor.summary import Outcome, summarise
from lightning_saliency.names import LoggedName


@dataclass(frozen=True)
class Conclusion:
    """The end of an evaluation.

    Attributes:
        outcome: Everything that all processes know.
        evaluation: The results of all processes on the first one, and elsewhere those of this process.
        panels: Images that are always drawn.
    """

    outcome: Outcome
    evaluation: Evaluation
    panels: Sequence[int]


def conclude(
    trainer: pl.Trainer,
    evaluated: Evaluated,
    memory: Memory,
    settings: Settings,
    *,
    compares_images: bool,
    clock: EpochClock | None,
    previous: Alarm | None = None,
) -> Conclusion:
    """Compare maps where they are, merge, and tell everyone.

    Args:
        trainer: The trainer.
        evaluated: The results of this process.
        memory: Maps of earlier evaluations.
        settings: The monitor's settings.
        compares_images: Whether the images may be other ones than those that are remembered.
        clock: Counts the seconds of an epoch, in training.
        previous: The decision on cues of the evaluation before, in training.
    """
    local = _with_drift(evaluated.evaluation, memory, settings)
    parts = send_to_first((pack(local), evaluated.panels), trainer)
    if not trainer.is_global_zero:
        return Conclusion(tell_everyone(Outcome(), trainer), local, evaluated.panels)
    conclusion = _of_all(parts, memory, settings, compares_images=compares_images, clock=clock, previous=previous)
    # Loggers may differ between processes: the first one decides for all.
    conclusion = replace(conclusion, outcome=replace(conclusion.outcome, publishes=publishes(trainer)))
    tell_everyone(conclusion.outcome, trainer)
    return conclusion


def _of_all(
    parts: Sequence[tuple[Parcel, list[int]]],
    memory: Memory,
    settings: Settings,
    *,
    compares_images: bool,
    clock: EpochClock | None,
    previous: Alarm | None,
) -> Conclusion:
    """Conclude on the first process, whatever goes wrong, since the others wait."""
    try:
        merged = merge([unpack(parcel) for parcel, _ in parts])
        restarts = compares_images and bool(memory.maps) and len(merged.indices) > 0 and not memory.is_of(merged)
        merged, outcome = summarise(merged, settings, drift_restarts=restarts, previous=previous)
        panels = _panels([indices for _, indices in parts], settings.num_panels)
        pictured = tuple(drawn_images(merged, panels, settings))
        return Conclusion(replace(_with_share(outcome, clock, settings), pictured=pictured), merged, panels)
    except Exception as error:  # noqa: BLE001 - a score that cannot be averaged must not stop training
        return Conclusion(Outcome(fault=Fault.of(error)), Evaluation(), [])


def _with_share(outcome: Outcome, clock: EpochClock | None, settings: Settings) -> Outcome:
    """Add which share of the epoch went into evaluations, and the rest of its time, by the clock of one process."""
    if clock is None or outcome.fault is not None:
        return outcome
    clock.add(outcome.seconds)
    share = Scalar(clock.share, None, outcome.num_read)
    scalars = {**outcome.scalars, str(LoggedName(settings.name, "fraction_of_epoch")): share}
    return replace(outcome, scalars=scalars, training_seconds=clock.training_seconds)


def _panels(parts: Sequence[list[int]], number: int) -> list[int]:
    """Agree on the images that are always drawn: of a stream, every process has images of its own."""
    panels = list(dict.fromkeys(index for indices in parts for index in indices))
    return panels if len(panels) <= number else sorted(panels)[:number]


def _with_drift(evaluation: Evaluation, memory: Memory, settings: Settings) -> Evaluation:
    """Compare maps where they are, so that only numbers have to travel."""
    try:
        return replace(evaluation, drift=drift_of(evaluation, memory, settings.drift))
    except Exception as error:  # noqa: BLE001 - other processes wait for this one
        return Evaluation(fault=evaluation.fault or Fault.of(error))
