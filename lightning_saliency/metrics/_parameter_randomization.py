"""Parameter randomisation: does the map change when the model forgets what it has learned?"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn

from lightning_saliency._checks import check_choice, check_integer
from lightning_saliency._random import keyed_normal
from lightning_saliency._types import Images, Maps, Model, Scores, Targets
from lightning_saliency.metrics._class_sensitivity import SIMILARITIES, Similarity
from lightning_saliency.metrics._curve import CurveMetric
from lightning_saliency.metrics._scoring import scores_of
from lightning_saliency.passes.trials import Measured, Trial, again_of

USUAL_SPREAD: Final = 0.1


def parameter_randomization(
    model: Model,
    images: Images,
    maps: Maps,
    targets: Targets,
    *,
    method: Any,
    similarity: Similarity = "spearman",
    num_stages: int = 5,
    num_images: int = 64,
    seed: int = 0,
    max_batch_size: int = 64,
) -> Scores:
    """Mean similarity of the map and maps of the model with ever more layers randomised, the last first.

    In [-1, 1], lower is better: a method that ignores what the model has learned scores 1. Layers are the
    modules that own parameters, in the order in which the model lists them; after stage s of S the last
    s/S of them are random. Every parameter, weight or bias, is drawn from a normal distribution of mean 0
    and its own standard deviation, or 0.1 where its values are all the same. Buffers such as running means
    stay. The parameters are put back bit by bit, also after an exception. The curve begins with the intact
    model, where the similarity is that of the map with itself, 1; it is no part of the score.

    Cost: `num_stages` times that of `method` for `num_images` images, passes shared with the other methods in
    `score`. Further images score NaN: a metric leaves them out and counts them.

    Args:
        model: Model with one row of logits per image.
        images: Images (B, C, *S) in the model's input space.
        maps: Raw maps (B, *S).
        targets: Target classes (B,).
        method: What made the maps.
        similarity: `"spearman"` on raw maps, or `"ssim"` on normalised ones.
        num_stages: How many times more layers are randomised.
        num_images: How many of the images are scored.
        seed: Seed of the random parameters.
        max_batch_size: Most images in one pass.

    Returns:
        Scores (B,).

    Raises:
        TypeError: If an argument is not of the kind expected, or the model is a plain function.
        ValueError: If shapes disagree, maps are not finite, or a choice is unknown.

    Example:
        >>> import torch
        >>> from lightning_saliency.methods import EdgeMap
        >>> images = torch.rand(2, 1, 4, 4)
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
        >>> targets = torch.tensor([0, 1])
        >>> parameter_randomization(model, images, EdgeMap()(model, images), targets, method=EdgeMap())
        tensor([1., 1.])

    References:
        Adebayo et al., "Sanity Checks for Saliency Maps", 2018. https://arxiv.org/abs/1810.03292
    """
    metric = ParameterRandomization(similarity, num_stages=num_stages, num_images=num_images, seed=seed)
    return scores_of(metric, model, images, maps, targets, method=method, max_batch_size=max_batch_size)


class ParameterRandomization(CurveMetric):
    """Mean `parameter_randomization` over images, in [-1, 1], lower is better.

    Args:
        similarity: `"spearman"` on raw maps, or `"ssim"` on normalised ones.
        num_stages: Number of stages, the last of which leaves no parameter as it was.
        num_images: Most images that are looked at in one call, the first ones.
        seed: Seed of the parameters drawn.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If `similarity` is unknown or a number is out of range.

    Example:
        >>> ParameterRandomization(num_stages=2).points
        (0.0, 0.5, 1.0)
    """

    higher_is_better = False
    name = "parameter_randomization"
    plot_lower_bound = -1.0
    plot_upper_bound = 1.0
    needs: tuple[str, ...] = ("methods",)
    curve_axes: ClassVar[tuple[str, str]] = ("share of layers randomised, from the last", "similarity")

    def __init__(
        self,
        similarity: Similarity = "spearman",
        *,
        num_stages: int = 5,
        num_images: int = 64,
        seed: int = 0,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice("similarity", similarity, SIMILARITIES)
        check_integer("num_stages", num_stages, minimum=1)
        check_integer("num_images", num_images, minimum=1)
        check_integer("seed", seed, minimum=0)
        points = [stage / num_stages for stage in range(num_stages + 1)]
        super().__init__(options=(similarity, num_images, seed), points=points, name=name, **kwargs)
        self.similarity: Similarity = similarity
        self.num_stages, self.num_images, self.seed = num_stages, num_images, seed

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        count = min(max(self.num_images - trial.start, 0), len(trial.images))
        curves = trial.maps.new_full((len(trial.images), self.num_stages + 1), torch.nan)
        if count:
            key = ("randomised", self.similarity, self.num_stages, count, self.seed)
            # All methods explain the changed models together, so that they share their passes.
            curves[:count] = trial.predict.share(key, lambda: self._curves(trial, count))[trial.name]
        return Measured(curves[:, 1:].mean(dim=1), curves)

    def _curves(self, trial: Trial, count: int) -> dict[str, Tensor]:
        model = trial.predict.model
        if not isinstance(model, nn.Module):
            raise TypeError(
                f"Expected an `nn.Module` for metric {self.name!r}, but got {type(model).__name__}, whose parameters "
                "cannot be found: pass the module itself, or leave the metric out."
            )
        explain_again = again_of(trial, self.name)
        compare = SIMILARITIES[self.similarity]
        intact = {name: maps[:count] for name, maps in trial.all_maps.items()}
        rows = {name: [compare(maps, maps)] for name, maps in intact.items()}
        for stage in range(1, self.num_stages + 1):
            with randomized(model, stage / self.num_stages, self.seed):
                again = explain_again(trial.images[:count], targets=trial.targets[:count])
            for name, maps in intact.items():
                rows[name].append(compare(maps, again[name].to(maps)))
        return {name: torch.stack(row, dim=1) for name, row in rows.items()}


@contextmanager
def randomized(model: nn.Module, share: float, seed: int) -> Iterator[None]:
    """Draw the parameters of a share of the layers anew, from the last one on, and give them back."""
    owners = [module for module in model.modules() if any(True for _ in module.parameters(recurse=False))]
    first = len(owners) - math.ceil(share * len(owners))
    lent = [parameter for module in owners[first:] for parameter in module.parameters(recurse=False)]
    kept = [parameter.data for parameter in lent]
    places = {id(parameter): place for place, parameter in enumerate(model.parameters())}
    try:
        for parameter in lent:
            parameter.data = _drawn(parameter.data, seed, places[id(parameter)])
        yield
    finally:
        for parameter, data in zip(lent, kept, strict=True):
            parameter.data = data


def _drawn(values: Tensor, seed: int, place: int) -> Tensor:
    spread = values.float().std(correction=0)
    draw = keyed_normal(values.shape, "parameter", seed, place).to(values.device)
    return (draw * torch.where(spread > 0, spread, USUAL_SPREAD)).to(values.dtype)
