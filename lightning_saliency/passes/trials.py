"""One batch of images and one map of each: what a faithfulness metric looks at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._checks import (
    check_images,
    check_integer,
    check_maps,
    check_masks,
    check_targets,
)
from lightning_saliency._model import explaining
from lightning_saliency._types import Images, Maps, Masks, Model, Scores, Targets
from lightning_saliency.passes._normalize import normalize
from lightning_saliency.passes.chunks import chunk_size
from lightning_saliency.passes.colours import Paint
from lightning_saliency.passes.precision import ScoringPrecision, scoring_forward
from lightning_saliency.passes.predictions import Change, Predictor
from lightning_saliency.passes.ranking import descending_order, ranks_of

ExplainAgain: TypeAlias = Callable[..., Mapping[str, Maps]]


class Measured(NamedTuple):
    """What a metric found.

    Attributes:
        scores: One score per image, (B,).
        curves: The curve behind each score, (B, P), where there is one.
    """

    scores: Scores
    curves: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Trial:
    """A batch of images with their maps from one method.

    Attributes:
        name: The method's key; with it, a change that depends on the map has a key of its own.
        maps: Raw maps, (B, *S).
        targets: Target classes, (B,).
        predict: Predicts changed versions of the images, shared by all maps and metrics.
        method: The method itself, where a metric needs its attributions.
        masks: Where the object is, (B, *S), where that is known.
        all_maps: Raw maps of all methods by name, this one's among them.
        explain_again: Explains changed versions of the images by all methods, where a metric explains again.
        start: Place of the batch's first image among all images of the call.
    """

    name: str
    maps: Maps
    targets: Targets
    predict: Predictor
    method: Callable[..., Maps] | None = None
    masks: Masks | None = None
    all_maps: Mapping[str, Maps] = field(default_factory=dict)
    explain_again: ExplainAgain | None = None
    start: int = 0

    @property
    def images(self) -> Images:
        """The images, (B, C, *S)."""
        return self.predict.images

    @property
    def num_positions(self) -> int:
        """Number of pixels of a map."""
        return self.maps[0].numel()

    @cached_property
    def normalized(self) -> Maps:
        """The maps in [0, 1]."""
        return normalize(self.maps)

    @cached_property
    def order(self) -> Tensor:
        """Positions from the most salient down, (B, positions): the one sort of each map."""
        return descending_order(self.maps)

    @cached_property
    def descending(self) -> Tensor:
        """Values of the normalised maps from the most salient down, (B, positions)."""
        return self.normalized.flatten(1).gather(1, self.order)

    @cached_property
    def ranks(self) -> Tensor:
        """Rank of every position, 0 for the most salient, (B, *S)."""
        return ranks_of(self.order, self.maps)

    def most_salient(self, count: int) -> Masks:
        """Exactly this many of the most salient positions."""
        return self.ranks < count

    def least_salient(self, count: int) -> Masks:
        """Exactly this many of the least salient positions."""
        return self.ranks >= self.num_positions - count

    def is_clear_cut(self, count: int) -> bool:
        """Whether this many of the most salient positions are those above a threshold too, in every map."""
        return 0 < count < self.num_positions and self._clear_cuts[count - 1]

    @cached_property
    def _clear_cuts(self) -> list[bool]:
        falls: list[bool] = (self.descending[:, :-1] > self.descending[:, 1:]).all(dim=0).tolist()
        return falls

    def above_rank(self, rank: int) -> Masks:
        """Positions more salient than the one at this rank (0 is the most salient); ties go together."""
        return self.above(self.descending[:, min(rank, self.num_positions - 1)])

    def above(self, thresholds: Scores) -> Masks:
        """Positions whose normalised value exceeds each image's threshold."""
        return self.normalized > thresholds.reshape(-1, *[1] * (self.maps.ndim - 1))

    def canvas(self, paint: Paint) -> Tensor:
        """The paint on these images, made once for all maps and metrics."""
        canvas: Tensor = self.predict.share(paint, partial(paint.on, self.images))
        return canvas

    def covered(self, mask: Masks, canvas: Tensor) -> Images:
        """Paint the canvas over the masked positions."""
        return torch.where(mask[:, None], canvas, self.images)

    def change(self, *key: object, make: Callable[[], Images]) -> Change:
        """A change that depends on this trial's maps."""
        return Change((self.name, *key), make)


def again_of(trial: Trial, name: str) -> ExplainAgain:
    """Return what explains again for the metric of this name.

    Raises:
        ValueError: If the methods are not known.
    """
    if trial.explain_again is None:
        raise ValueError(f"Expected `methods` for metric {name!r}, but got None: pass them, or leave it out.")
    return trial.explain_again


def visit_trials(
    model: Model,
    images: Any,
    maps: Mapping[str, Any],
    targets: Any,
    visit: Callable[[list[Trial]], None],
    *,
    methods: Mapping[str, Callable[..., Maps]] | None = None,
    explain_again: ExplainAgain | None = None,
    masks: Any = None,
    max_batch_size: Any,
    scoring_precision: ScoringPrecision = "exact",
) -> None:
    """Borrow the model and visit, chunk after chunk of the images, one trial for each method's maps.

    A caller's tensors are checked here: only behind this are they what their names say.

    Raises:
        TypeError: If an argument is not of the kind expected.
        ValueError: If shapes disagree, maps are not finite, or a prediction shows that a target is no class.
    """
    check_images(images)
    check_targets(targets, len(images))
    check_integer("max_batch_size", max_batch_size, minimum=1)
    for name, method_maps in maps.items():
        check_maps(name, method_maps, images)
        _check_finite(name, method_maps)
    if masks is not None:
        check_masks(masks, images)
    max_batch_size = chunk_size(images, max_batch_size)
    maps = {name: _in_floating_point(method_maps) for name, method_maps in maps.items()}
    targets = targets.to(images.device, torch.int64)
    with explaining(model), torch.no_grad():
        forward = scoring_forward(model, images, scoring_precision)
        for start in range(0, len(images), max_batch_size):
            part = slice(start, start + max_batch_size)
            predict = Predictor(model, images[part], max_batch_size, forward, targets[part])
            all_maps = {name: method_maps[part] for name, method_maps in maps.items()}
            again = None if explain_again is None else partial(explain_again, targets=targets[part])
            visit(
                [
                    Trial(
                        name,
                        method_maps,
                        targets[part],
                        predict,
                        None if methods is None else methods[name],
                        None if masks is None else masks[part],
                        all_maps,
                        again,
                        start,
                    )
                    for name, method_maps in all_maps.items()
                ]
            )


def _in_floating_point(maps: Tensor) -> Maps:
    """Widen whole numbers, booleans and half precision, in which scores would be rounded away."""
    return maps if maps.dtype == torch.float64 else maps.float()


def _check_finite(name: str, maps: Tensor) -> None:
    if not bool(torch.isfinite(maps).all()):
        bad = (~torch.isfinite(maps.flatten(1)).all(dim=1)).nonzero().flatten().tolist()
        raise ValueError(
            f"Expected the maps of {name!r} to be finite, but got NaN or infinity in {len(bad)} of {len(maps)} maps, "
            f"the first at index {bad[0]}: leave those images out."
        )
