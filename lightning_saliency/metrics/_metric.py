"""What explanation metrics share: a mean over per-image scores, with its standard error."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, Self

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_saliency._types import Images, Maps, Masks, Model, Scores, Targets
from lightning_saliency.metrics._scoring import measure_all
from lightning_saliency.passes.colours import ChannelValues
from lightning_saliency.passes.trials import Measured, Trial


class ExplanationMetric(Metric, ABC):
    """Mean over images of a score of their maps, accumulated in float64 and exact across processes.

    Subclasses implement `measure`. States are named after the class and its options: `MetricCollection`
    merges metrics whose states have equal names and equal first values.

    Args:
        options: Hyper-parameters that distinguish instances.
        points: Where the curve behind a score is taken; empty where there is no curve.
        name: Key in results and logs; the class has a usual one.
        kwargs: Passed on to `torchmetrics.Metric`.

    Attributes:
        needs: What `measure` needs besides images, maps and targets: `"methods"`, `"masks"`.
        needs_colours: Whether images that are not in [0, 1] need `mean` and `std`.
    """

    is_differentiable: bool = False
    higher_is_better: bool
    full_state_update: bool = False
    name: str
    mean: ChannelValues | None = None
    std: ChannelValues | None = None
    needs: tuple[str, ...] = ()
    needs_colours: bool = False

    def __init__(
        self,
        *,
        options: Sequence[object] = (),
        points: Sequence[float] = (),
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name or type(self).name
        self.points = tuple(points)
        self._prefix = f"{type(self).__name__.lower()}_{zlib.crc32(repr((*options, self.points)).encode()):08x}"
        for sum_of in ("count", "excluded", "total", "squares"):
            self._add_sum(sum_of, torch.zeros((), dtype=torch.float64))
        if points:
            self._add_sum("curve", torch.zeros(len(points), dtype=torch.float64))

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
        """Score one batch of maps; a score that is not finite leaves its image out."""

    def update(
        self,
        model: Model,
        images: Images,
        maps: Maps,
        targets: Targets,
        *,
        masks: Masks | None = None,
        method: Callable[..., Maps] | None = None,
        max_batch_size: int = 64,
    ) -> None:
        """Score maps (B, *S) of images (B, C, *S) and fold the scores in.

        Args:
            model: Model with one row of logits per image.
            images: Images (B, C, *S) in the model's input space.
            maps: Raw maps (B, *S).
            targets: Target classes (B,).
            masks: Where the object is, (B, *S) boolean, for metrics of localisation.
            method: What made the maps, for metrics that explain again.
            max_batch_size: Most images in one pass.
        """
        for measured in measure_all(
            self, model, images, maps, targets, masks=masks, method=method, max_batch_size=max_batch_size
        ):
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

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw the score, or the values given.

        Args:
            val: One or several results of `compute`.
            ax: Matplotlib axes to draw on; `None` makes new ones.

        Returns:
            Figure and axes.
        """
        return self._plot(val, ax)

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
