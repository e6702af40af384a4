"""Pictures of several evaluations in one place; the reader switches between them without a script."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lightning_saliency.report._clock import Clock
from lightning_saliency.report._log import Pictures

MOST: Final = 20


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


def stepper(title: str, pictures: Mapping[str, Pictures], clock: Clock) -> Stepper:
    """Collect the pictures of each evaluation.

    Args:
        title: Subject of the pictures.
        pictures: Pictures by caption and step.
        clock: When steps were.
    """
    steps = sorted({step for by_step in pictures.values() for step in by_step})
    counted = clock.counted(steps)
    axis = clock.axis(counted.values())
    frames = [
        Frame(axis.label(counted[step]), axis.places[counted[step]], _pictures_at(step, pictures))
        for step in _spread(steps)
    ]
    return Stepper(title, axis.unit, len(steps), frames)


def _spread(steps: list[int]) -> list[int]:
    """Pick at most `MOST` steps at even distances, the first and the last included."""
    if len(steps) <= MOST:
        return steps
    return [steps[round(place * (len(steps) - 1) / (MOST - 1))] for place in range(MOST)]


def _pictures_at(step: int, pictures: Mapping[str, Pictures]) -> dict[str, str]:
    return {caption: _source(by_step[step]) for caption, by_step in pictures.items() if step in by_step}


def _source(picture: bytes) -> str:
    return f"data:image/png;base64,{b64encode(picture).decode()}"
