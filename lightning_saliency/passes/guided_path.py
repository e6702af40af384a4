"""A path that chooses its next point by the last gradient: flat directions first."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_saliency._types import Images, Model
from lightning_saliency.passes.chunks import chunk_size
from lightning_saliency.passes.quantiles import in_order
from lightning_saliency.passes.references import Baseline
from lightning_saliency.passes.statistics import Observation, Statistic
from lightning_saliency.passes.stream import observe
from lightning_saliency.targets import Target


@dataclass(frozen=True)
class GuidedPath:
    """Path from a baseline that moves, step by step, the features with the smallest gradients.

    A feature's position is its share of the way from baseline to image. After step s the mean of the positions,
    weighted by the length of each feature's way, is (s + 1) / `num_intervals`, and no position is further than
    `max_dist` from that mean. Every image has its own path.
    """

    baseline: Baseline
    num_intervals: int
    fraction: float
    max_dist: float

    @property
    def outside(self) -> tuple[float, float]:
        """Shares of the path before the first and after the last point."""
        return 0.0, 1 / self.num_intervals

    def walk(self, model: Model, images: Images, target: Target, *, ends: bool = False) -> Iterator[Observation]:
        """Yield each point with the movement away from it; with `ends` also the image, where nothing moves."""
        wide = images if images.dtype == torch.float64 else images.float()
        start = self.baseline.of(images).to(wide)
        way = wide - start
        shares = _shares(way.flatten(1).abs())
        positions = torch.zeros_like(shares)
        for step in range(self.num_intervals):
            point = torch.lerp(start, wide, positions.reshape(way.shape))
            observation = observe(model, point.to(images.dtype), target)
            next_positions = self._advance(positions, shares, observation.gradient.flatten(1).abs(), step + 1)
            direction = (next_positions - positions).reshape(way.shape) * way * self.num_intervals
            yield observation._replace(direction=direction, weight=1 / self.num_intervals)
            positions = next_positions
        if ends:
            yield observe(model, images, target)._replace(weight=0.0)

    def _advance(self, positions: Tensor, shares: Tensor, slopes: Tensor, step: int) -> Tensor:
        """Return the positions after this step, (B, features)."""
        if step == self.num_intervals:
            return torch.ones_like(positions)
        mean = step / self.num_intervals
        furthest = min(mean + self.max_dist, 1.0)
        positions = positions.clamp(min=max(mean - self.max_dist, 0.0))
        unfinished = torch.ones_like(positions[:, :1], dtype=torch.bool)
        while True:
            missing = mean - (shares * positions).sum(dim=1, keepdim=True)
            movable = unfinished & self._flattest((positions < furthest) & (shares > 0), slopes)
            room = (shares * (furthest - positions) * movable).sum(dim=1, keepdim=True)
            part = (missing / torch.where(room > 0, room, 1.0)).clamp(0, 1)
            destination = torch.where(part == 1, furthest, positions + part * (furthest - positions))
            positions = torch.where(movable, destination, positions)
            unfinished = (missing > room) & movable.any(dim=1, keepdim=True)
            if not bool(unfinished.any()):
                return positions

    def _flattest(self, free: Tensor, slopes: Tensor) -> Tensor:
        """Choose the free features with the smallest slopes; the others rank last, and count in the fraction."""
        ranked = torch.where(free, slopes, torch.inf)
        bound = in_order(ranked, math.floor(self.fraction * (ranked.shape[1] - 1)))[0]
        return free & (ranked <= bound[:, None])


def read_path(
    path: GuidedPath,
    model: Model,
    images: Images,
    target: Target,
    statistics: tuple[Statistic, ...],
    max_batch_size: int,
    *,
    ends: bool = False,
) -> Iterator[tuple[Any, ...]]:
    """Yield, chunk after chunk of the images, the value of every statistic on their paths."""
    max_batch_size = chunk_size(images, max_batch_size)
    for chunk, chunk_target in zip(images.split(max_batch_size), target.split(max_batch_size), strict=True):
        states: dict[Statistic, Any] = dict.fromkeys(statistics)
        for observation in path.walk(model, chunk, chunk_target, ends=ends):
            for statistic in statistics:
                states[statistic] = statistic.update(states[statistic], observation)
        yield tuple(statistic.value(states[statistic]) for statistic in statistics)


def _shares(way: Tensor) -> Tensor:
    total = way.sum(dim=1, keepdim=True)
    return way / torch.where(total == 0, 1.0, total)
