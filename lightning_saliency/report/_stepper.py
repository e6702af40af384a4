"""Pictures of several evaluations in one place; the reader switches between them without a script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightning_saliency.report._clock import Clock
from lightning_saliency.report._log import Pictures
from lightning_saliency.report._pictures import Room, spread


@dataclass(frozen=True)
class Frame:
    """The pictures of one evaluation: its name, its number on the button, and pictures by caption."""

    label: str
    place: int
    pictures: Mapping[str, str]


@dataclass(frozen=True)
class Stepper:
    """The evaluations, of which the last is shown first and some may be left out of `count`."""

    title: str
    unit: str
    count: int
    frames: Sequence[Frame]


def stepper(title: str, pictures: Mapping[str, Pictures], clock: Clock, room: Room) -> Stepper:
    """Collect the pictures of each evaluation.

    Args:
        title: Subject of the pictures.
        pictures: Pictures by caption and step.
        clock: When steps were.
        room: Reads those that are shown.
    """
    steps = sorted({step for by_step in pictures.values() for step in by_step})
    counted = clock.counted(steps)
    axis = clock.axis(counted.values())
    frames = [
        Frame(axis.label(counted[step]), axis.places[counted[step]], _pictures_at(step, pictures, room))
        for step in spread(steps, room.most)
    ]
    return Stepper(title, axis.unit, len(steps), frames)


def _pictures_at(step: int, pictures: Mapping[str, Pictures], room: Room) -> dict[str, str]:
    sources = {caption: room.source(by_step[step]) for caption, by_step in pictures.items() if step in by_step}
    return {caption: source for caption, source in sources.items() if source is not None}
