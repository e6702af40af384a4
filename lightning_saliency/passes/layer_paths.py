"""Points on paths from references to the image, at a layer's output or at the input."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._types import Images
from lightning_saliency.passes.layers import LayerName
from lightning_saliency.passes.noise import noise_like
from lightning_saliency.passes.paths import draws, fitting, places_of
from lightning_saliency.passes.points import Points, Sample
from lightning_saliency.passes.recorder import Recorder
from lightning_saliency.passes.references import ReferenceClasses, References
from lightning_saliency.targets import Target

Space: TypeAlias = Literal["activation", "input"]


@dataclass(frozen=True)
class LayerPath(Points):
    """Random points between references and the image; they move by the difference of the layer's outputs.

    In `"activation"` space a point is a mixture of the two outputs, from which the network continues; connections
    that bypass the layer carry the image. In `"input"` space it is a mixture of the two inputs. References and
    positions are drawn as in `ReferencePath`. The noise is Gaussian. In activation space it is added to the
    references in units of their range, so that a path still ends at the image; in input space to the points, in
    units of the image's range.
    """

    references: References
    layer: LayerName
    num_samples: int
    noise_level: float
    seed: int
    space: Space
    classes: ReferenceClasses = "all"

    @property
    def num_steps(self) -> int:
        """One step for each draw."""
        return self.num_samples

    def prepared(self, recorder: Recorder, images: Images, target: Target) -> Points:
        """Record the layer's outputs for the images, and once for the references."""
        places = None
        if self.classes != "all":
            places = places_of(self.references, self.classes, self.num_samples, self.seed, target)
        starts = recorder.once(self, lambda: recorder.outputs(self._starts(images), self.layer))
        return _Between(self, recorder.outputs(images, self.layer), starts, places)

    def sample(self, images: Images, step: int) -> Sample:
        """Refuse, because the layer's outputs have to be recorded first."""
        raise TypeError("Points of a layer must be read through a recorder. Call `prepared` first.")

    def reference(self, images: Images, step: int) -> tuple[Tensor, float]:
        """Return this step's reference, one image, and its position on the path."""
        index, position = draws(len(self.references), self.num_samples, self.seed)[step]
        reference = self.chosen(images, index).to(images)
        if self.noise_level and self.space == "activation":
            reference = reference + noise_like(reference, self.noise_level, self.seed, step)
        return reference, position

    def chosen(self, images: Images, places: int | Tensor) -> Tensor:
        """Return one reference (1, C, *S), or one for each image."""
        references = fitting(self.references, images)
        index = [places] if isinstance(places, int) else places.to(references.device)
        return references[index]

    def starts(self, images: Images) -> tuple[Images, ...]:
        """Return every step's reference, repeated for every image."""
        return tuple(self.reference(images, step)[0].expand_as(images) for step in range(self.num_steps))

    def slot(self, step: int) -> int:
        """Return the index of the step's reference among the distinct ones."""
        return step if self.noise_level and self.space == "activation" else step % self._distinct

    @property
    def _distinct(self) -> int:
        return min(len(self.references), self.num_samples)

    def _starts(self, images: Images) -> Tensor:
        if self.classes != "all":
            return fitting(self.references, images).to(images)
        count = self.num_samples if self.noise_level and self.space == "activation" else self._distinct
        return torch.cat([self.reference(images, step)[0] for step in range(count)])


@dataclass(frozen=True, eq=False)
class _Between(Points):
    """The points of one chunk of images, with the layer's outputs."""

    path: LayerPath
    ends: Tensor
    starts: Tensor
    places: Tensor | None

    @property
    def num_steps(self) -> int:
        return self.path.num_steps

    def sample(self, images: Images, step: int) -> Sample:
        path = self.path
        reference, position = path.reference(images, step)
        if self.places is None:
            start = self.starts[path.slot(step)][None].expand_as(self.ends)
        else:
            reference = path.chosen(images, self.places[:, step]).to(images)
            start = self.starts[self.places[:, step].to(self.starts.device)]
        direction, weight = self.ends - start, 1 / path.num_samples
        if path.space == "activation":
            return Sample(images, weight, direction, path.layer, torch.lerp(start, self.ends, position))
        point = torch.lerp(reference.expand_as(images), images, position)
        if path.noise_level:
            point = point + noise_like(images, path.noise_level, path.seed, step)
        return Sample(point, weight, direction, path.layer)
