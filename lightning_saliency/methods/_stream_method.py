"""What every gradient method is: a few readings of streams, and a formula that makes maps of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lightning_saliency._checks import check_images, check_integer, check_targets
from lightning_saliency._model import explaining, logits_of
from lightning_saliency._types import Images, Maps, Model, Targets
from lightning_saliency.passes.stream import Reading, read_streams

DEFAULT_BATCH_SIZE = 64


class StreamMethod(ABC):
    """A saliency method that only says what it reads and what it makes of it.

    Subclasses are frozen dataclasses of hyper-parameters. `explain` collects the readings of several
    methods, so that equal ones are taken once.
    """

    name: str

    @property
    @abstractmethod
    def readings(self) -> tuple[Reading, ...]:
        """The quantities that the formula needs, in its order."""

    @abstractmethod
    def formula(self, images: Images, *values: Any) -> Maps:
        """Make raw maps of the quantities for one chunk of images."""

    def __call__(
        self,
        model: Model,
        images: Images,
        targets: Targets | None = None,
        *,
        max_batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Maps:
        """Explain images; `targets=None` explains the predicted classes. Returns raw float32 maps (B, *S)."""
        return explain_streams(model, images, targets, {self.name: self}, max_batch_size)[self.name]


class CompleteMethod(StreamMethod):
    """A method whose signed attributions account for the logit, whatever its maps make of them."""

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
        targets: Targets | None = None,
        *,
        max_batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Tensor:
        """Return the signed attribution (B, C, *S), before any magnitude, part or guide, in units of logit."""
        reading = self.contribution
        with prepared(model, images, targets, max_batch_size) as (own, known):
            chunks = read_streams(model, own, known, [reading], max_batch_size)
            return torch.cat([self.attribution(chunk, values[reading]) for chunk, values in chunks])


def explain_streams(
    model: Model,
    images: Images,
    targets: Targets | None,
    methods: dict[str, StreamMethod],
    max_batch_size: int,
) -> dict[str, Maps]:
    """Explain images with several methods at once, each reading taken once."""
    with prepared(model, images, targets, max_batch_size) as (own, known):
        parts: dict[str, list[Maps]] = {name: [] for name in methods}
        readings = [reading for method in methods.values() for reading in method.readings]
        for chunk, values in read_streams(model, own, known, readings, max_batch_size):
            for name, method in methods.items():
                maps = method.formula(chunk, *(values[reading] for reading in method.readings))
                parts[name].append(maps.float())
    return {name: torch.cat(chunks) for name, chunks in parts.items()}


@contextmanager
def prepared(
    model: Model, images: Images, targets: Targets | None, max_batch_size: int
) -> Iterator[tuple[Images, Targets]]:
    """Check the arguments, borrow the model, and hand out images that gradients can be taken of and known targets."""
    images = own_images(images)
    check_integer("max_batch_size", max_batch_size, minimum=1)
    with explaining(model):
        yield images, known_targets(model, images, targets, max_batch_size)


def own_images(images: Images) -> Images:
    """Check images, and copy those made in inference mode, which autograd cannot save."""
    check_images(images)
    with torch.inference_mode(mode=False):
        return images.clone() if images.is_inference() else images.detach()


def known_targets(model: Model, images: Images, targets: Targets | None, max_batch_size: int) -> Targets:
    """Return the targets given, else the predicted classes: one forward for each image."""
    if targets is not None:
        check_targets(targets, len(images))
        return targets.to(images.device, torch.int64)
    with torch.no_grad():
        # Copies, since models may work on their input in place.
        return torch.cat([logits_of(model, chunk.clone()).argmax(dim=1) for chunk in images.split(max_batch_size)])
