"""Base of the methods that follow a path themselves, apart from the streams."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lightning_saliency._saliency_method import DEFAULT_BATCH_SIZE, SaliencyMethod, prepared
from lightning_saliency._types import Images, Maps, Model
from lightning_saliency.methods._aggregation import Aggregation, aggregate, statistics_of
from lightning_saliency.passes.guides import Guide
from lightning_saliency.passes.statistics import Part, Statistic
from lightning_saliency.targets import Target, TargetLike


class WalkingMethod(SaliencyMethod):
    """A path method that only declares how it walks, and which quantity it keeps on the way.

    Subclasses are frozen dataclasses. A pass holds one point of at most `max_batch_size` images.
    """

    aggregation: Aggregation
    guide: Guide | None
    percentile: float

    @abstractmethod
    def quantity(self, part: Part) -> Statistic:
        """Return the quantity, of one part of each step."""

    @abstractmethod
    def walk(
        self, model: Model, images: Images, target: Target, statistics: tuple[Statistic, ...], max_batch_size: int
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield, chunk after chunk of the images, the value of every statistic on their paths."""

    def maps(self, model: Model, images: Images, target: Target, max_batch_size: int) -> Maps:
        """Walk the paths and aggregate."""
        statistics = statistics_of(self.quantity(self.aggregation), self.guide, self.percentile)
        chunks = self.walk(model, images, target, (*self.controls, *statistics), max_batch_size)
        return torch.cat([self.aggregated(*values).float() for values in chunks])

    @property
    def controls(self) -> tuple[Statistic, ...]:
        """Further quantities, which `aggregated` gets first."""
        return ()

    def aggregated(self, *values: Any) -> Maps:
        """Guide, and sum the channels' magnitudes."""
        return aggregate(values, self.guide, self.percentile)

    @property
    def has_attribution(self) -> bool:
        """True."""
        return True

    def attribute(
        self,
        model: Model,
        images: Images,
        targets: TargetLike | None = None,
        *,
        max_batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Tensor:
        """Return the signed attribution (B, C, *S), before any magnitude, part or guide, in units of logit."""
        with prepared(model, images, targets, max_batch_size) as (inputs, target):
            chunks = self.walk(model, inputs, target, (self.quantity("signed"),), max_batch_size)
            return torch.cat([value for (value,) in chunks])
