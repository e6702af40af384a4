"""One evaluation of one process, from its start to its end."""

from collections.abc import Iterator
from dataclasses import dataclass

from lightning_saliency.callbacks._batches import LabelledImages
from lightning_saliency.callbacks._evaluation import Evaluated
from lightning_saliency.callbacks._findings import Fault, Findings
from lightning_saliency.callbacks._loading import Source


@dataclass
class Run:
    """What an evaluation is about, and what has come of it so far.

    Attributes:
        source: The loader watched.
        check: Whether this is the sanity run.
        trains: Whether this evaluation belongs to training, and may be remembered.
        kept: Images kept from a loader that cannot be read by index.
        collects: Whether such images still have to be collected.
        num_wanted: How many.
        numbers: Their numbers, which stand in for indices.
        evaluated: What was found, once the work is done.
        error: What was raised instead.
    """

    source: Source
    check: bool
    trains: bool
    kept: list[LabelledImages]
    collects: bool
    num_wanted: int
    numbers: Iterator[int]
    evaluated: Evaluated | None = None
    error: Exception | None = None

    def fail(self, error: Exception, *, is_configuration: bool) -> None:
        """Let an exception be all that was found."""
        self.error = error
        self.evaluated = Evaluated(Findings(fault=Fault.of(error, is_configuration=is_configuration)))

    @property
    def num_missing(self) -> int:
        """How many images are still to be collected."""
        return self.num_wanted - sum(len(part.indices) for part in self.kept)
