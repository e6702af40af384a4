"""Pictures of several evaluations in one place; the reader switches between them without a script."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lightning_saliency.report._clock import Clock
from lightning_saliency.report._log import Pictures

MOST: Final = 20


@dataclass(frozen=True)
class Picture:
    """An encoded picture with its caption."""

    caption: str
    source: str


@dataclass(frozen=True)
class Frame:
    """The pictures of one evaluation.

    Attributes:
        label: Name of the evaluation.
        place: Its number on the button.
        pictures: Its pictures.
    """

    label: str
    place: int
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Stepper:
    """Pictures by evaluation.

    Attributes:
        key: Distinguishes this stepper from all others of the page.
        title: Subject of the pictures.
        unit: Unit of the buttons' numbers.
        count: Number of evaluations, of which some may be left out.
        frames: The evaluations, the last of which is shown first.
    """

    key: str
    title: str
    unit: str
    count: int
    frames: Sequence[Frame]


def stepper(key: str, title: str, pictures: Mapping[str, Pictures], clock: Clock) -> Stepper:
    """Collect the pictures of each evaluation.

    Args:
        key: Distinguishes this stepper from all others of the page.
        title: Subject of the pictures.
        pictures: Pictures by caption and step.
        clock: When steps were.
    """
    steps = sorted({step for by_step in pictures.values() for step in by_step})
    selection = _spread(steps)
    counted = clock.counted(steps)
    axis = clock.axis(counted.values())
    frames = [
        Frame(axis.label(counted[step]), axis.places[counted[step]], _pictures_at(step, pictures)) for step in selection
    ]
    return Stepper(key, title, axis.unit, len(steps), frames)


def _spread(steps: list[int]) -> list[int]:
    """Pick at most `MOST` steps at even distances, the first and the last included."""
    if len(steps) <= MOST:
        return steps
    return [steps[round(place * (len(steps) - 1) / (MOST - 1))] for place in range(MOST)]


def _pictures_at(step: int, pictures: Mapping[str, Pictures]) -> list[Picture]:
    return [Picture(caption, _source(by_step[step])) for caption, by_step in pictures.items() if step in by_step]


def _source(picture: bytes) -> str:
    return f"data:image/png;base64,{b64encode(picture).decode()}"
