"""What explanation metrics share: a mean over per-image scores, with its standard error."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_saliency._types import Images, Maps, Model, Scores, Targets
from lightning_saliency.passes.colours import ChannelValues
from lightning_saliency.passes.trials import Measured, Trial, visit_trials


class ExplanationMetric(Metric, ABC):
    """Mean over images of a score of their maps, accumulated in float64 and exact across processes.

    Subclasses implement `measure`. States are named after the class and its options: `MetricCollection`
    merges metrics whose states have equal names and equal first values.

    Args:
        options: Hyper-parameters that distinguish instances.
        num_points: Length of the curve behind a score; 0 where there is none.
        kwargs: Passed on to `torchmetrics.Metric`.
    """

    is_differentiable: bool = False
    higher_is_better: bool
    full_state_update: bool = False
    needs_colours: ClassVar[bool] = False
    needs: ClassVar[tuple[Literal["methods", "masks"], ...]] = ()
    name: str
    mean: ChannelValues | None = None
    std: ChannelValues | None = None

    def __init__(self, *options: object, num_points: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._prefix = f"{type(self).__name__.lower()}_{zlib.crc32(repr(options).encode()):08x}"
        for sum_of in ("count", "excluded", "total", "squares"):
            self._add_sum(sum_of, torch.zeros((), dtype=torch.float64))
        if num_points:
            self._add_sum("curve", torch.zeros(num_points, dtype=torch.float64))

    @property
    def knows_colours(self) -> bool:
        """Whether it has been told how images were normalised."""
        return self.mean is not None

    def with_colours(self, mean: ChannelValues, std: ChannelValues) -> Self:
        """Return a copy that takes images normalised with `mean` and `std`."""
        copy = deepcopy(self)
        copy.mean, copy.std = mean, std
        return copy

    @abstractmethod
    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""

    def update(self, model: Model, images: Images, maps: Maps, targets: Targets, *, max_batch_size: int = 64) -> None:
        """Score maps (B, *S) of images (B, C, *S) and fold the scores in."""
        for measured in measure_all(self.measure, model, images, maps, targets, max_batch_size):
            self.accumulate(*measured)

    def accumulate(self, scores: Scores, curves: Tensor | None = None) -> None:
        """Fold in scores (B,) computed elsewhere, with their curves (B, P).

        Scores that are not finite are left out and counted.
        """
        self._computed = None
        self._update_count = max(self._update_count, 1)
        scores = scores.to(self.device, torch.float64)
        valid = torch.isfinite(scores)
        self._increase("count", valid.sum())
        self._increase("excluded", (~valid).sum())
        self._increase("total", scores[valid].sum())
        self._increase("squares", scores[valid].square().sum())
        if curves is not None:
            self._increase("curve", curves.to(self.device, torch.float64)[valid].sum(dim=0))

    def compute(self) -> Tensor:
        """Return the mean score.

        Raises:
            ValueError: If no image has been scored.
        """
        return self._sum("total") / self._counted()

    def standard_error(self) -> Tensor:
        """Return the standard error of the mean; infinite for a single image."""
        with self._synchronised():
            count = self._counted()
            if count < 2:
                return torch.full_like(count, torch.inf)
            centred = self._sum("squares") - self._sum("total").square() / count
            return (centred.clamp(min=0) / (count - 1) / count).sqrt()

    @property
    def num_scored(self) -> int:
        """How many images have been scored."""
        with self._synchronised():
            return int(self._sum("count"))

    @property
    def num_excluded(self) -> int:
        """How many images were left out because their score was not finite."""
        with self._synchronised():
            return int(self._sum("excluded"))

    def _mean_curve(self) -> Tensor:
        with self._synchronised():
            return self._sum("curve") / self._counted()

    def _counted(self) -> Tensor:
        count = self._sum("count")
        if not count:
            if self._is_synced:  # torchmetrics does not give the local states back after an exception
                self.unsync()
            raise ValueError(f"Expected at least one scored image in {type(self).__name__}, but got none: update it.")
        return count

    @contextmanager
    def _synchronised(self) -> Iterator[None]:
        """Sync by hand, since torchmetrics wraps `compute` only."""
        borrowed = not self._is_synced
        if borrowed:
            self.sync(
                dist_sync_fn=self.dist_sync_fn,
                process_group=self.process_group,
                should_sync=self.sync_on_compute,
                distributed_available=self.distributed_available_fn,
            )
        try:
            yield
        finally:
            if borrowed and self._is_synced:
                self.unsync()

    def _add_sum(self, name: str, zero: Tensor) -> None:
        self.add_state(f"{self._prefix}_{name}", zero, dist_reduce_fx="sum")

    def _sum(self, name: str) -> Tensor:
        value: Tensor = getattr(self, f"{self._prefix}_{name}")
        return value

    def _increase(self, name: str, amount: Tensor) -> None:
        setattr(self, f"{self._prefix}_{name}", self._sum(name) + amount)


def measure_all(
    measure: Callable[[Trial], Measured],
    model: Model,
    images: Images,
    maps: Maps,
    targets: Targets,
    max_batch_size: int,
) -> list[Measured]:
    """Measure the maps of one method, chunk after chunk."""
    found: list[Measured] = []

    def visit(trial: list[Trial]) -> None:
        found.append(measure(trial[0]))

    visit_trials(model, images, {"maps": maps}, targets, visit, max_batch_size=max_batch_size)
    return found


def scores_of(
    measure: Callable[[Trial], Measured],
    model: Model,
    images: Images,
    maps: Maps,
    targets: Targets,
    max_batch_size: int,
) -> Scores:
    """Score the maps of one method, one score per image."""
    return torch.cat([found.scores for found in measure_all(measure, model, images, maps, targets, max_batch_size)])
