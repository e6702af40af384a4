"""Pictures of event files, of which a page has room for some."""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from lightning_saliency.report._files import open_plain
from lightning_saliency.report._limits import LARGEST_PICTURES, LeftOut
from lightning_saliency.report._log import Log, Picture, Pictures
from lightning_saliency.report._monitor import monitors_of

# Most evaluations whose pictures are shown: fewer, if these are large.
CHOICES: Final = (20, 10, 5, 2, 1)


class Room:
    """Reads the pictures that are shown.

    Attributes:
        most: Most evaluations whose pictures are shown.
        left_out: Counts pictures that are not shown.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.left_out = LeftOut()
        self._bytes = LARGEST_PICTURES

    @classmethod
    def of(cls, runs: Iterable[Log]) -> "Room":
        """Make room for as many evaluations as the pictures of all runs allow."""
        groups = [group for run in runs for group in _groups(run)]
        return cls(next((most for most in CHOICES if _size(groups, most) <= LARGEST_PICTURES), CHOICES[-1]))

    def source(self, picture: Picture) -> str | None:
        """Return the address of a picture that has its content in it; `None` if there is no room or no file."""
        self._bytes -= picture.weight
        if self._bytes < 0:
            self.left_out.add("pictures, since the page would be too large")
            return None
        try:
            with open_plain(picture.path, picture.path.parent) as file:
                file.seek(picture.place)
                content = file.read(picture.size)
        except OSError:
            self.left_out.add("pictures whose file has gone")
            return None
        return f"data:image/png;base64,{b64encode(content).decode()}"


def spread(steps: Sequence[int], most: int) -> Sequence[int]:
    """Pick at most some steps at even distances, the first and the last included.

    Example:
        >>> spread([0, 1, 2, 3, 4], 3), spread([0, 1], 1)
        ([0, 2, 4], [1])
    """
    if len(steps) <= most:
        return steps
    return [steps[-1 - round(place * (len(steps) - 1) / max(most - 1, 1))] for place in range(most)][::-1]


def _groups(run: Log) -> Iterator[Mapping[str, Pictures]]:
    for monitor in monitors_of(run):
        yield from monitor.strips.values()
        yield from ({"": pictures} for pictures in monitor.curves.values())


def _size(groups: Iterable[Mapping[str, Pictures]], most: int) -> int:
    sizes = 0
    for group in groups:
        steps = spread(sorted({step for pictures in group.values() for step in pictures}), most)
        sizes += sum(pictures[step].weight for pictures in group.values() for step in steps if step in pictures)
    return sizes
