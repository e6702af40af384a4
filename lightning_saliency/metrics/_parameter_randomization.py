"""Parameter randomisation: does the map change when the model forgets what it has learned?"""

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import field
from typing import Any, Final, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lightning_saliency._checks import check_choice, check_integer
from lightning_saliency._random import keyed_normal
from lightning_saliency.metrics._class_sensitivity import SIMILARITIES, Similarity
from lightning_saliency.metrics._curve import CurveMetric
from lightning_saliency.passes._normalize import is_blank
from lightning_saliency.passes.trials import Measured, Shared, Trial

USUAL_SPREAD: Final = 0.1


class ParameterRandomization(CurveMetric):
    """Mean similarity of the map and maps of the model with ever more layers randomised, the last first.

    In [-1, 1], lower is better: a method that ignores what the model has learned scores 1. Layers are the
    modules that own parameters, in the order in which the model lists them; after stage s of S the last
    s/S of them are random. Every parameter, weight or bias, is drawn from a normal distribution of mean 0
    and its own standard deviation, or 0.1 where its values are all the same. The result of a parametrization, such as
    an orthogonal weight, is drawn in place of its parameters. Buffers such as running means stay. The parameters are
    restored bit by bit, also after an exception. A constant map of a randomised model counts as 1: that the network
    collapses does not show that the method reads it. The curve begins with the intact model, where the similarity
    is that of the map with itself, 1; it is no part of the score.

    Cost: `num_stages` times that of `method` for `num_images` images, passes shared with the other methods in
    `score`. Further images score NaN: the metric leaves them out and counts them.

    Args:
        similarity: `"spearman"` on raw maps, or `"ssim"` on normalised ones.
        num_stages: How many times more layers are randomised; the last stage leaves no parameter as it was.
        num_images: Most images that are scored in one call, the first ones.
        seed: Seed of the random parameters.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If `similarity` is unknown or a number is out of range; when updated, a `TypeError` if the model
            is a plain function.

    Example:
        >>> import torch
        >>> from lightning_saliency.methods import EdgeMap
        >>> images = torch.rand(2, 1, 4, 4)
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
        >>> maps, targets = EdgeMap()(model, images), torch.tensor([0, 1])
        >>> ParameterRandomization().scores(model, images, maps, targets, method=EdgeMap())
        tensor([1., 1.])
        >>> ParameterRandomization(num_stages=2).points
        (0.0, 0.5, 1.0)

    References:
        Adebayo et al., "Sanity Checks for Saliency Maps", 2018. https://arxiv.org/abs/1810.03292
    """

    higher_is_better = False
    name = "parameter_randomization"
    plot_lower_bound = -1.0
    plot_upper_bound = 1.0
    needs = ("methods",)
    curve_axes = ("share of layers randomised, beginning with the last", "similarity")

    similarity: Similarity = "spearman"
    num_stages: int = field(default=5, kw_only=True)
    num_images: int = field(default=64, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def check(self) -> None:
        """Refuse an unknown similarity and numbers out of range."""
        super().check()
        check_choice("similarity", self.similarity, SIMILARITIES)
        check_integer("num_stages", self.num_stages, minimum=1)
        check_integer("num_images", self.num_images, minimum=1)
        check_integer("seed", self.seed, minimum=0)

    @property
    def points(self) -> tuple[float, ...]:
        """The shares of the layers that are random."""
        return tuple(stage / self.num_stages for stage in range(self.num_stages + 1))

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        if not isinstance(trial.model, nn.Module):
            raise TypeError(
                f"Expected an `nn.Module` for metric {self.name!r}, but got {type(trial.model).__name__}, whose "
                "parameters cannot be found: pass the module itself, or leave the metric out."
            )
        count = min(max(self.num_images - trial.start, 0), len(trial.images))
        curves = trial.maps.new_full((len(trial.images), len(self.points)), torch.nan)
        if count:
            similarities = trial.once(_Similarities(self.similarity, self.points, count, self.seed))
            curves[:count] = similarities[trial.name]
        return Measured(curves[:, 1:].mean(dim=1), curves)


class _Similarities(Shared):
    """Similarity curves by method (count, shares): all methods explain the changed models together."""

    similarity: Similarity
    shares: tuple[float, ...]
    count: int
    seed: int

    def make(self, trial: Trial) -> dict[str, Tensor]:
        """Explain the first images again with a larger and larger share of the layers randomised."""
        compare = SIMILARITIES[self.similarity]
        intact = {name: maps[: self.count] for name, maps in trial.all_maps.items()}
        rows = {name: [compare(maps, maps)] for name, maps in intact.items()}
        target = trial.target.take(torch.arange(self.count, device="cpu"))
        with closing(randomized(cast("nn.Module", trial.model), self.shares[1:], self.seed)) as stages:
            for _ in stages:
                again = trial.explained(trial.images[: self.count], target)
                for name, maps in intact.items():
                    similarity = compare(maps, again[name].to(maps))
                    rows[name].append(torch.where(is_blank(again[name]), 1.0, similarity))
        return {name: torch.stack(row, dim=1) for name, row in rows.items()}


def randomized(model: nn.Module, shares: Sequence[float], seed: int) -> Generator[None, None, None]:
    """Draw the parameters of larger and larger shares of the layers anew, beginning with the last.

    They are restored when the generator is closed.
    """
    layers = _layers_of(model)
    places = {id(parameter): place for place, parameter in enumerate(model.parameters())}
    with ExitStack() as stack:
        start = len(layers)
        for share in shares:
            end, start = start, len(layers) - math.ceil(share * len(layers))
            for layer in layers[start:end]:
                for parameter in layer.parameters(recurse=False):
                    stack.enter_context(_redrawn(parameter, seed, places[id(parameter)]))
                if parametrize.is_parametrized(layer):
                    stack.enter_context(_redrawn_results(layer, seed, places))
            yield


def _layers_of(model: nn.Module) -> list[nn.Module]:
    """List the modules that own parameters. Those of a parametrization belong to the layer that uses its result."""
    layers = list(model.modules())
    inside = {
        id(part)
        for layer in layers
        if parametrize.is_parametrized(layer)
        for part in cast("nn.Module", layer.parametrizations).modules()
    }
    return [
        layer
        for layer in layers
        if id(layer) not in inside
        and (parametrize.is_parametrized(layer) or any(True for _ in layer.parameters(recurse=False)))
    ]


@contextmanager
def _redrawn(parameter: nn.Parameter, seed: int, place: int) -> Iterator[None]:
    original = parameter.data
    try:
        parameter.data = _redrawn_weight(original, seed, place)
        yield
    finally:
        parameter.data = original


@contextmanager
def _redrawn_results(layer: nn.Module, seed: int, places: Mapping[int, int]) -> Iterator[None]:
    """Draw what parametrizations compute, since of random parameters they may compute a constant or nothing finite.

    An attribute of a class hides the property by which a parametrized layer computes its weight.
    """
    kind = type(layer)
    results: dict[str, Any] = {}
    for name, parametrization in cast("nn.ModuleDict", layer.parametrizations).items():
        first = next(parametrization.parameters(), None)
        if first is not None:
            results[name] = _redrawn_weight(getattr(layer, name).detach(), seed, places[id(first)])
    try:
        layer.__class__ = type(kind.__name__, (kind,), results)
        yield
    finally:
        layer.__class__ = kind


def _redrawn_weight(values: Tensor, seed: int, place: int) -> Tensor:
    spread = values.float().std(correction=0)
    draw = keyed_normal(values.shape, "parameter", seed, place).to(values.device)
    return (draw * torch.where(spread > 0, spread, USUAL_SPREAD)).to(values.dtype)
