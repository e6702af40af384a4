"""Where gradients are taken: frozen descriptions of points, equal ones of which share their passes."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from lightning_saliency._types import Images
from lightning_saliency.passes.noise import noise_like


class Sample(NamedTuple):
    """One point for every image of a batch.

    Attributes:
        inputs: What the model is fed, of the images' shape.
        weight: What the point counts in an average over all points of its images.
        direction: How the inputs, or the layer's output, move along a path here; `None` where there is no path.
        layer: The layer that `direction` and `replacement` belong to; `None` for the input.
        replacement: What the network goes on with after that layer, instead of what the layer made of the inputs.
        around: What the forward runs inside, the same at every point of a rule.
    """

    inputs: Tensor
    weight: float = 1.0
    direction: Tensor | None = None
    layer: str | None = None
    replacement: Tensor | None = None
    around: Callable[[], AbstractContextManager[object]] = nullcontext


@runtime_checkable
class Points(Protocol):
    """A rule that gives every image its `num_steps` points; equal rules must give equal points."""

    @property
    def num_steps(self) -> int:
        """How many points each image has."""

    def sample(self, images: Images, step: int) -> Sample:
        """Make the point of this step for every image, from that image alone."""


@dataclass(frozen=True)
class Clean:
    """The image itself."""

    @property
    def num_steps(self) -> int:
        """One: the image."""
        return 1

    def sample(self, images: Images, step: int) -> Sample:
        """Return the images."""
        return Sample(images)


@dataclass(frozen=True)
class Noise:
    """Gaussian noise around the image, of standard deviation `noise_level` times that image's own range.

    A step draws once, for all images alike, so that a map does not depend on the image's neighbours.
    """

    num_samples: int
    noise_level: float
    seed: int

    @property
    def num_steps(self) -> int:
        """One step a draw."""
        return self.num_samples

    def sample(self, images: Images, step: int) -> Sample:
        """Add this step's draw to every image."""
        return Sample(images + noise_like(images, self.noise_level, self.seed, step), weight=1 / self.num_samples)
