"""The content of a run's event files, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

Scalars: TypeAlias = Mapping[int, float]
Texts: TypeAlias = Mapping[int, str]
# Target, method, metric and score of an image.
Score: TypeAlias = tuple[int, str, str, float]


@dataclass(frozen=True)
class Picture:
    """Where an encoded picture is, so that only those that are shown are read.

    Attributes:
        path: An event file.
        place: Its first byte.
        size: The number of its bytes.
        pixels: The number of its pixels, which a browser has to decode.
    """

    path: Path
    place: int
    size: int
    pixels: int

    @property
    def weight(self) -> int:
        """The bytes that count for the size of the page: a few may stand for very many pixels."""
        return max(self.size, self.pixels // 4)


Pictures: TypeAlias = Mapping[int, Picture]


@dataclass(frozen=True)
class ImageScores:
    """The scores of every image in one evaluation.

    Attributes:
        rows: Target, method, metric and score.
        class_names: Names of the targets that have one.
    """

    rows: Sequence[Score] = ()
    class_names: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Log:
    """A run's log: entries by tag and step, steps rising.

    Attributes:
        name: The run's folder, relative to the folder of all runs.
        scalars: Values, finite or not, with what `evaluations.csv` has more.
        pictures: Where pictures are.
        texts: Markdown.
        settings: Hyper-parameters as text.
        scores: Scores of every image in the last evaluation, by monitor.
        first: When the first scalar was written, in seconds since 1970, `None` if there is none.
        notes: Sentences on what could not be read or was left out.
    """

    name: str
    scalars: Mapping[str, Scalars] = field(default_factory=dict)
    pictures: Mapping[str, Pictures] = field(default_factory=dict)
    texts: Mapping[str, Texts] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, ImageScores] = field(default_factory=dict)
    first: float | None = None
    notes: Sequence[str] = ()
