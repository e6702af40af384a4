"""What methods share that walk a path of their own, apart from the streams."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lightning_saliency._types import Images, Maps, Model, Targets
from lightning_saliency.methods._aggregation import Aggregation, Guide, aggregate, statistics_of
from lightning_saliency.methods._stream_method import DEFAULT_BATCH_SIZE, prepared
from lightning_saliency.passes.statistics import Part, Statistic


class WalkingMethod(ABC):
    """A path method that only says how it walks, and which quantity it keeps on the way.

    Subclasses are frozen dataclasses. A pass holds one point of at most `max_batch_size` images.
    """

    aggregation: Aggregation
    guide: Guide | None
    percentile: float
    name: str

    @abstractmethod
    def quantity(self, part: Part) -> Statistic:
        """Name the quantity, of one part of each step."""

    @abstractmethod
    def walk(
        self, model: Model, images: Images, targets: Targets, statistics: tuple[Statistic, ...], max_batch_size: int
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield, chunk after chunk of the images, the value of every statistic on their paths."""

    def __call__(
        self,
        model: Model,
        images: Images,
        targets: Targets | None = None,
        *,
        max_batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Maps:
        """Explain images; `targets=None` explains the predicted classes. Returns raw float32 maps (B, *S)."""
        statistics = statistics_of(self.quantity(self.aggregation), self.guide, self.percentile)
        return self._made(model, images, targets, statistics, self._map, max_batch_size)

    def attribute(
        self,
        model: Model,
        images: Images,
        targets: Targets | None = None,
        *,
        max_batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Tensor:
        """Return the signed attribution (B, C, *S), before any magnitude, part or guide, in units of logit."""
        return self._made(model, images, targets, (self.quantity("signed"),), _only, max_batch_size)

    def _map(self, values: tuple[Tensor, ...]) -> Maps:
        return aggregate(values, self.guide, self.percentile).float()

    def _made(
        self,
        model: Model,
        images: Images,
        targets: Targets | None,
        statistics: tuple[Statistic, ...],
        make: Callable[[tuple[Tensor, ...]], Tensor],
        max_batch_size: int,
    ) -> Tensor:
        with prepared(model, images, targets, max_batch_size) as (own, known):
            chunks = self.walk(model, own, known, statistics, max_batch_size)
            return torch.cat([make(values) for values in chunks])


def _only(values: tuple[Tensor, ...]) -> Tensor:
    (value,) = values
    return value
