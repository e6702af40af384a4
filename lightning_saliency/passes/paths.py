"""Points along a path to the image: straight from a baseline, from references, or out of a blur."""

import functools
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lightning_saliency._random import keyed_generator
from lightning_saliency._types import Images
from lightning_saliency.passes.blur import gaussian_blur
from lightning_saliency.passes.noise import noise_like
from lightning_saliency.passes.points import Points, Sample
from lightning_saliency.passes.recorder import Recorder
from lightning_saliency.passes.references import Baseline, ReferenceClasses, References
from lightning_saliency.targets import Target

Rule: TypeAlias = Literal["gauss_legendre", "left", "ends"]


@functools.lru_cache(maxsize=64)
def quadrature(rule: Rule, num_steps: int) -> tuple[tuple[float, float], ...]:
    """List positions in [0, 1] in ascending order, each with its weight in an integral.

    `"gauss_legendre"` and `"left"` have `num_steps` positions; `"ends"` has both ends and one more.
    """
    if rule == "gauss_legendre":
        nodes, weights = np.polynomial.legendre.leggauss(num_steps)
        return tuple(zip(((nodes + 1) / 2).tolist(), (weights / 2).tolist(), strict=True))
    if rule == "left":
        return tuple((step / num_steps, 1 / num_steps) for step in range(num_steps))
    inner = [(step / num_steps, 1 / num_steps) for step in range(1, num_steps)]
    return ((0.0, 0.5 / num_steps), *inner, (1.0, 0.5 / num_steps))


@dataclass(frozen=True)
class StraightPath(Points):
    """Points on the straight line from a baseline to the image."""

    baseline: Baseline
    num_intervals: int
    rule: Rule

    @property
    def num_steps(self) -> int:
        """One step for each position."""
        return len(quadrature(self.rule, self.num_intervals))

    @property
    def outside(self) -> tuple[float, float]:
        """Shares of the path before the first and after the last point."""
        positions = [position for position, _ in quadrature(self.rule, self.num_intervals)]
        return positions[0], 1 - positions[-1]

    def sample(self, images: Images, step: int) -> Sample:
        """Go to this step's position."""
        position, weight = quadrature(self.rule, self.num_intervals)[step]
        start = self.baseline.of(images)
        return Sample(torch.lerp(start, images, position), weight, images - start)


@dataclass(frozen=True)
class ReferencePath(Points):
    """Random points between references and the image, with Gaussian noise around them.

    References are drawn without repetition until each was drawn once. One position is drawn from each of
    `num_samples` equal parts of the path, and positions are shuffled: each is uniform, and together they are spread
    evenly. The draws are the same for every image, or for every image of a class if references are those of the same
    class or of other ones.
    """

    references: References
    num_samples: int
    noise_level: float
    seed: int
    classes: ReferenceClasses = "all"

    @property
    def num_steps(self) -> int:
        """One step for each draw."""
        return self.num_samples

    def prepared(self, recorder: Recorder, images: Images, target: Target) -> Points:
        """Choose references by the images' classes, if they depend on these."""
        return (
            self
            if self.classes == "all"
            else _OfClasses(self, places_of(self.references, self.classes, self.num_samples, self.seed, target))
        )

    def sample(self, images: Images, step: int) -> Sample:
        """Draw a reference and a position."""
        index, _ = draws(len(self.references), self.num_samples, self.seed)[step]
        return self.between(fitting(self.references, images)[index].to(images), images, step)

    def between(self, reference: Tensor, images: Images, step: int) -> Sample:
        """Go to this step's position on the way from a reference, one or one for each image."""
        _, position = draws(len(self.references), self.num_samples, self.seed)[step]
        point = torch.lerp(reference.expand_as(images), images, position)
        if self.noise_level:
            point = point + noise_like(images, self.noise_level, self.seed, step)
        return Sample(point, 1 / self.num_samples, images - reference)

    def starts(self, images: Images) -> tuple[Images, ...]:
        """Return every step's reference, repeated for every image."""
        references = fitting(self.references, images).to(images)
        indices = [index for index, _ in draws(len(self.references), self.num_samples, self.seed)]
        return tuple(references[index].expand_as(images) for index in indices)


@dataclass(frozen=True, eq=False)
class _OfClasses(Points):
    """The points of one chunk of images, with the references of each, (B, steps)."""

    path: ReferencePath
    places: Tensor

    @property
    def num_steps(self) -> int:
        return self.path.num_steps

    def sample(self, images: Images, step: int) -> Sample:
        references = fitting(self.path.references, images)
        chosen = references[self.places[:, step].to(references.device)]
        return self.path.between(chosen.to(images), images, step)


def places_of(references: References, classes: ReferenceClasses, num_samples: int, seed: int, target: Target) -> Tensor:
    """Return which reference every step has for each image, (B, steps), in one order for all images.

    Raises:
        TypeError: If the target is not one of classes.
        ValueError: If an image has no reference.
    """
    target.require("classes", f"reference_classes={classes!r}")
    if target.classes is None:
        raise TypeError(
            f"`targets` must be classes for `reference_classes={classes!r}`, but got {type(target).__name__}, "
            "which has several.  Leave `reference_classes` out."
        )
    order, _ = _drawn(len(references), num_samples, seed)
    rows: dict[int, list[int]] = {}
    for label in target.classes.unique().tolist():
        chosen = set(references.of(label, classes))
        allowed = [place for place in order if place in chosen]
        rows[label] = [allowed[step % len(allowed)] for step in range(num_samples)]
    return torch.tensor([rows[label] for label in target.classes.tolist()], dtype=torch.int64)


def fitting(references: References, images: Images) -> Tensor:
    """Return the reference images, checked against those explained."""
    if references.images.shape[1:] != images.shape[1:]:
        raise ValueError(
            f"Expected references of shape (R, {', '.join(map(str, images.shape[1:]))}), "
            f"but got {tuple(references.images.shape)}: they have to look like the images."
        )
    return references.images


@functools.lru_cache(maxsize=64)
def draws(num_references: int, num_samples: int, seed: int) -> tuple[tuple[int, float], ...]:
    """List a reference and a position on the path for every step."""
    order, positions = _drawn(num_references, num_samples, seed)
    return tuple((order[step % num_references], position) for step, position in enumerate(positions))


def _drawn(num_references: int, num_samples: int, seed: int) -> tuple[list[int], list[float]]:
    """Draw the order of the references and the positions on the path."""
    generator = keyed_generator("references", seed)
    order = torch.randperm(num_references, generator=generator, device="cpu").tolist()
    parts = torch.randperm(num_samples, generator=generator, device="cpu").double()
    positions = (parts + torch.rand(num_samples, generator=generator, dtype=torch.float64, device="cpu")) / num_samples
    return order, positions.tolist()


@dataclass(frozen=True)
class BlurPath(Points):
    """Points on the path from the blurred to the sharp image.

    Blur shrinks with the cube of the remaining path, since fine blur changes an image most. A step is taken at
    the middle of an interval and moves by that interval's full difference, so that all moves add up to the
    difference between the sharp and the blurred image. With `ends`, points are the intervals' borders.
    """

    max_sigma: float
    num_intervals: int
    ends: bool = False

    @property
    def num_steps(self) -> int:
        """One step for each interval, or for each border."""
        return self.num_intervals + self.ends

    @property
    def outside(self) -> tuple[float, float]:
        """Shares of the path before the first and after the last middle, where the image is sharp already."""
        half = 0.5 / self.num_intervals
        return half, half if self.num_intervals == 1 else 0.0

    def sample(self, images: Images, step: int) -> Sample:
        """Blur the images as this step does."""
        if self.ends:
            return Sample(self._at(images, step), 1 / self.num_steps)
        move = self._at(images, step + 1) - self._at(images, step)
        return Sample(self._at(images, step + 0.5), 1 / self.num_steps, move * self.num_steps)

    def _at(self, images: Images, step: int | float) -> Images:
        return gaussian_blur(images, self.max_sigma * (1 - step / self.num_intervals) ** 3)
