"""Base of the gradient methods: a few readings of streams, and a formula that makes maps of them."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lightning_saliency._saliency_method import DEFAULT_BATCH_SIZE, SaliencyMethod, prepared
from lightning_saliency._types import Images, Maps, Model
from lightning_saliency.passes.stream import Reading, read_streams
from lightning_saliency.targets import Target, TargetLike


class StreamMethod(SaliencyMethod):
    """A saliency method that only declares its readings and the formula that makes maps of them.

    Subclasses are frozen dataclasses of hyper-parameters. `explain` collects the readings of several methods, so
    that equal readings are taken once.
    """

    @property
    @abstractmethod
    def readings(self) -> tuple[Reading, ...]:
        """The quantities that the formula needs, in its order."""

    @abstractmethod
    def formula(self, images: Images, *values: Any) -> Maps:
        """Make raw maps of the quantities for one chunk of images."""

    def maps(self, model: Model, images: Images, target: Target, max_batch_size: int) -> Maps:
        """Read the streams of this method alone."""
        return explain_streams(model, images, target, {self.name: self}, max_batch_size)[self.name]


class CompleteMethod(StreamMethod):
    """A method whose signed attributions account for the logit, whatever its maps show."""

    @property
    def has_attribution(self) -> bool:
        """True."""
        return True

    @property
    @abstractmethod
    def contribution(self) -> Reading:
        """The quantity that the attribution is made of."""

    def attribution(self, images: Images, contribution: Tensor) -> Tensor:
        """Make the signed attribution (B, C, *S) for one chunk of images."""
        return contribution

    def attribute(
        self,
        model: Model,
        images: Images,
        targets: TargetLike | None = None,
        *,
        max_batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Tensor:
        """Return the signed attribution (B, C, *S), before any magnitude, part or guide, in units of logit."""
        reading = self.contribution
        with prepared(model, images, targets, max_batch_size) as (inputs, target):
            chunks = read_streams(model, inputs, target, [reading], max_batch_size)
            return torch.cat([self.attribution(chunk, values[reading]) for chunk, values in chunks])


def explain_streams(
    model: Model, images: Images, target: Target, methods: Mapping[str, SaliencyMethod], max_batch_size: int
) -> dict[str, Maps]:
    """Explain images with several methods at once, each reading taken once, with a borrowed model."""
    readings = {name: method.readings for name, method in methods.items()}
    for name, group in readings.items():
        if any(reading.statistic.rivals is not None for reading in group):
            target.require("rivals", name)
    parts: dict[str, list[Maps]] = {name: [] for name in methods}
    together = [reading for group in readings.values() for reading in group]
    for chunk, values in read_streams(model, images, target, together, max_batch_size):
        for name, method in methods.items():
            maps = method.formula(chunk, *(values[reading] for reading in readings[name]))
            parts[name].append(maps.float())
    return {name: torch.cat(chunks) for name, chunks in parts.items()}
