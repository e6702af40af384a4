"""One evaluation of one process, from its start to its end."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import Tensor

from lightning_saliency.monitor.evaluated import Evaluated
from lightning_saliency.monitor.evaluation import Evaluation
from lightning_saliency.monitor.fault import Fault
from lightning_saliency.monitor.subset import Subset


@dataclass
class Run:
    """The subject of an evaluation, and its results so far.

    Attributes:
        subset: The images watched.
        check: Whether this is the sanity run.
        trains: Whether this evaluation belongs to training, and may be remembered.
        epoch: Current epoch.
        step: Global step.
        collects: Whether images of a stream still have to be collected.
        num_images: How many.
        numbers: Their numbers, which stand in for indices.
        waits: Whether to work only after the first batch, when DDP has shared its buffers.
        buffers: Buffers of the first process, which stand in for this one's.
        evaluated: The results, once the work is done.
        error: The exception that was raised instead.
    """

    subset: Subset
    check: bool
    trains: bool
    epoch: int
    step: int
    collects: bool
    num_images: int
    numbers: Iterator[int]
    waits: bool = False
    buffers: dict[str, Tensor] = field(default_factory=dict)
    evaluated: Evaluated | None = None
    error: Exception | None = None

    def fail(self, error: Exception, *, is_configuration: bool) -> None:
        """Let an exception be the only result."""
        self.error = error
        self.evaluated = Evaluated(Evaluation(fault=Fault.of(error, is_configuration=is_configuration)))

    @property
    def num_missing(self) -> int:
        """How many images are still to be collected."""
        return self.num_images - len(self.subset.share)
