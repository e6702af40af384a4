"""One batch of images and one map of each: what a metric scores, and the changes of images that it asks for."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ClassVar, NamedTuple, TypeAlias, dataclass_transform

import torch
from torch import Tensor

from lightning_saliency._types import Images, Logits, Maps, Masks, Model, Scores, per_image
from lightning_saliency.passes._normalize import normalize
from lightning_saliency.passes.canvases import Paint
from lightning_saliency.passes.comparisons import comparing
from lightning_saliency.passes.predictions import Predictor
from lightning_saliency.passes.ranking import descending_order, ranks_of
from lightning_saliency.targets import Activation, Target

ExplainAgain: TypeAlias = Callable[[Images, Target], Mapping[str, Maps]]


class Measured(NamedTuple):
    """The result of a metric.

    Args:
        scores: One score per image, (B,).
        curves: The curve of each score, (B, P), for metrics that have one.

    Example:
        >>> import torch
        >>> Measured(torch.zeros(4)).scores.shape
        torch.Size([4])
    """

    scores: Scores
    curves: Tensor | None = None


@dataclass_transform(frozen_default=True)
class Value:
    """Base of descriptions that are compared by what they hold: every subclass is a frozen dataclass."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclass(frozen=True)(cls)


class Change(Value, ABC):
    """A change of every image of a batch before it is predicted.

    Subclasses list what the change depends on as fields and say how the images are made. They are frozen dataclasses
    without further ado. Equal changes are predicted once, for all metrics; a change that depends on the map once for
    the maps of each method.

    Example:
        >>> class Scaled(Change):
        ...     depends_on_map = False
        ...     factor: float
        ...
        ...     def make(self, trial):
        ...         return self.factor * trial.images
        >>> Scaled(0.5) == Scaled(0.5), Scaled(0.5) == Scaled(0.25)
        (True, False)
    """

    depends_on_map: ClassVar[bool] = True

    @abstractmethod
    def make(self, trial: "Trial") -> Images:
        """Return the changed images (B, C, *S)."""

    def resolved(self, trial: "Trial") -> "Change":
        """Return another description of the same images, if they have one that more metrics use."""
        return self


class Shared(Value, ABC):
    """A value that several maps or metrics of a batch need and is made once; equal descriptions share it."""

    @abstractmethod
    def make(self, trial: "Trial") -> Any:
        """Make it, from the first trial that asks."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A batch of images with their maps from one method: what a metric's `measure` scores.

    Args:
        name: The method's key.
        maps: Raw maps, (B, *S).
        predict: Predicts changed versions of the images, shared by all maps and metrics.
        method: The method itself, as `explain` has it, where it was given.
        masks: Where the object is, (B, *S), where that was given.
        all_maps: Raw maps of all methods by name, those of this method among them.
        explain_again: Explains images and a target by all methods, where these were given.
        start: Place of the batch's first image among all images of the call.

    Example:
        >>> from lightning_saliency.metrics import ExplanationMetric
        >>> class Mass(ExplanationMetric):
        ...     name = "mass"
        ...     higher_is_better = True
        ...
        ...     def measure(self, trial):
        ...         return Measured(trial.normalized.flatten(1).mean(dim=1))
    """

    name: str
    maps: Maps
    predict: Predictor
    method: Any = None
    masks: Masks | None = None
    all_maps: Mapping[str, Maps] = field(default_factory=dict)
    explain_again: ExplainAgain | None = None
    start: int = 0

    @property
    def images(self) -> Images:
        """The images, (B, C, *S)."""
        return self.predict.images

    @property
    def target(self) -> Target:
        """The target that is explained."""
        return self.predict.target

    @property
    def targets(self) -> Any:
        """The targets that a function of the user's receives: class indices (B,) where classes are explained."""
        return self.target.argument

    @property
    def model(self) -> Model:
        """The model, for metrics that need more of it than predictions."""
        return self.predict.model

    @property
    def num_positions(self) -> int:
        """Number of pixels of a map."""
        return self.maps[0].numel()

    def logits(self, changes: Sequence[Change]) -> list[Logits]:
        """Return the logits (B, K) after each change; equal changes are predicted once."""
        outputs = self._outputs(changes)
        return [self.predict.reader.logits(output) for output in outputs]

    def values(self, changes: Sequence[Change]) -> Tensor:
        """Return the target's values after each change, (B, changes)."""
        outputs = self._outputs(changes)
        return torch.stack([self.predict.reader.value(output) for output in outputs], dim=1)

    def probabilities(self, changes: Sequence[Change], activation: Activation = "softmax") -> Tensor:
        """Return the target's probabilities after each change, (B, changes)."""
        outputs = self._outputs(changes)
        return torch.stack([self.predict.reader.probability(output, activation) for output in outputs], dim=1)

    def outcomes(self, changes: Sequence[Change], activation: Activation = "softmax") -> Tensor:
        """Return the target's probabilities after each change, or its values where it has none, (B, changes)."""
        has_probability = "probability" in self.target.offers
        return self.probabilities(changes, activation) if has_probability else self.values(changes)

    def _outputs(self, changes: Sequence[Change]) -> list[Tensor]:
        resolved = [change.resolved(self) for change in changes]
        keys = [(self.name if change.depends_on_map else None, change) for change in resolved]
        makers = {key: partial(key[1].make, self) for key in keys}
        outputs = dict(zip(makers, self.predict(makers), strict=True))
        return [outputs[key] for key in keys]

    def once(self, shared: Shared) -> Any:
        """Make what several maps or metrics of this batch need, once."""
        return self.predict.once(shared, partial(shared.make, self))

    def canvas(self, paint: Paint) -> Tensor:
        """Return the canvas of these images, made once for all maps and metrics."""
        canvas: Tensor = self.predict.once(paint, partial(paint.on, self.images))
        return canvas

    def covered(self, mask: Masks, canvas: Tensor) -> Images:
        """Paint the canvas over the masked positions."""
        return torch.where(mask[:, None], canvas, self.images)

    def explained(self, images: Images, target: Target) -> Mapping[str, Maps]:
        """Explain other images or another target by all methods: maps by method name.

        Raises:
            ValueError: If the methods were not given.
        """
        if self.explain_again is None:
            raise ValueError('Expected `methods` to explain again, but got None: declare `needs = ("methods",)`.')
        with comparing():
            return self.explain_again(images, target)

    @cached_property
    def normalized(self) -> Maps:
        """The maps in [0, 1]."""
        return normalize(self.maps)

    @cached_property
    def order(self) -> Tensor:
        """Positions from the most salient to the least, (B, positions): the one sort of each map."""
        return descending_order(self.maps)

    @cached_property
    def descending(self) -> Tensor:
        """Values of the normalised maps from the most salient to the least, (B, positions)."""
        return self.normalized.flatten(1).gather(1, self.order)

    @cached_property
    def ranks(self) -> Tensor:
        """Rank of every position, 0 for the most salient, (B, *S)."""
        return ranks_of(self.order, self.maps)

    def most_salient(self, count: int) -> Masks:
        """Mark exactly this many of the most salient positions."""
        return self.ranks < count

    def least_salient(self, count: int) -> Masks:
        """Mark exactly this many of the least salient positions."""
        return self.ranks >= self.num_positions - count

    def is_clear_cut(self, count: int) -> bool:
        """Whether this many of the most salient positions are those above a threshold too, in every map."""
        return 0 < count < self.num_positions and self._clear_cuts[count - 1]

    @cached_property
    def _clear_cuts(self) -> list[bool]:
        falls: list[bool] = (self.descending[:, :-1] > self.descending[:, 1:]).all(dim=0).tolist()
        return falls

    def above_rank(self, rank: int) -> Masks:
        """Mark positions more salient than the one at this rank (0 is the most salient); ties go together."""
        return self.above(self.descending[:, min(rank, self.num_positions - 1)])

    def above(self, thresholds: Scores) -> Masks:
        """Mark positions whose normalised value exceeds each image's threshold."""
        return self.normalized > per_image(thresholds, self.maps)
