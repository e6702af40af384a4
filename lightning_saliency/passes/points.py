"""Points at which gradients are taken: frozen descriptions; equal points share their passes."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from lightning_saliency._types import Images
from lightning_saliency.passes.layers import LayerName
from lightning_saliency.passes.noise import noise_like
from lightning_saliency.passes.recorder import Recorder
from lightning_saliency.targets import Target


class Sample(NamedTuple):
    """One point for every image of a batch.

    Attributes:
        inputs: Inputs of the model, of the images' shape.
        weight: Weight of the point in an average over all points of its images.
        direction: How the inputs, or the layer's output, move along a path here; `None` where there is no path.
        layer: The layer that `direction` and `replacement` belong to; `None` for the input.
        replacement: Output that the network continues with after that layer, instead of the layer's own.
        around: Context in which the forward runs, the same at every point of a rule.
    """

    inputs: Tensor
    weight: float = 1.0
    direction: Tensor | None = None
    layer: LayerName | None = None
    replacement: Tensor | None = None
    around: Callable[[], AbstractContextManager[object]] = nullcontext


class Points(ABC):
    """A rule that gives every image its `num_steps` points; equal rules must give equal points.

    Subclasses are frozen dataclasses.
    """

    @property
    @abstractmethod
    def num_steps(self) -> int:
        """How many points each image has."""

    @abstractmethod
    def sample(self, images: Images, step: int) -> Sample:
        """Make the point of this step for every image, from that image alone."""

    def prepared(self, recorder: Recorder, images: Images, target: Target) -> "Points":
        """Return the rule for these images; rules that depend on a layer's output or on the class look here."""
        return self


@dataclass(frozen=True)
class Clean(Points):
    """The image itself.

    Example:
        >>> import torch
        >>> Clean().sample(torch.zeros(1, 1, 1, 2), 0).inputs
        tensor([[[[0., 0.]]]])
    """

    @property
    def num_steps(self) -> int:
        """One: the image."""
        return 1

    def sample(self, images: Images, step: int) -> Sample:
        """Return the images."""
        return Sample(images)


@dataclass(frozen=True)
class Noise(Points):
    """Gaussian noise around the image, of standard deviation `noise_level` times that image's own range.

    Each step has one draw for all images, so that a map does not depend on the image's neighbours.

    Attributes:
        num_samples: Number of draws.
        noise_level: Standard deviation in units of the image's range.
        seed: Seed of the draws.

    Example:
        >>> import torch
        >>> Noise(num_samples=20, noise_level=0.15, seed=0).sample(torch.rand(2, 3, 8, 8), step=0).weight
        0.05
    """

    num_samples: int
    noise_level: float
    seed: int

    @property
    def num_steps(self) -> int:
        """One step for each draw."""
        return self.num_samples

    def sample(self, images: Images, step: int) -> Sample:
        """Add this step's draw to every image."""
        return Sample(images + noise_like(images, self.noise_level, self.seed, step), weight=1 / self.num_samples)
