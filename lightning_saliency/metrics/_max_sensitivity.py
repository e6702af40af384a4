"""Max-sensitivity: how far does the map move when the image hardly does?"""

from typing import Any

import torch
from torch import Tensor

from lightning_saliency._checks import check_integer, check_number
from lightning_saliency._random import keyed_generator
from lightning_saliency._types import Images, Maps, Model, Scores, Targets
from lightning_saliency.metrics._metric import ExplanationMetric
from lightning_saliency.metrics._scoring import scores_of
from lightning_saliency.passes.trials import Measured, Trial


def max_sensitivity(
    model: Model,
    images: Images,
    maps: Maps,
    targets: Targets,
    *,
    method: Any,
    num_samples: int = 10,
    radius: float = 0.02,
    seed: int = 0,
    max_batch_size: int = 64,
) -> Scores:
    """Greatest relative distance between the map and maps of slightly changed images.

    Changes are uniform in a cube around the image, drawn once by seed, alike for every image. The distance is
    Euclidean and in units of the map's own norm: from 0, lower is better. Scaling all maps or all logits
    changes nothing, shifting all maps lowers it. A map of zeros scores 0 where all its neighbours are zeros
    too, and otherwise 1: it moves by all of what it becomes. The score says nothing about the model: a map
    that never changes scores 0.

    Cost: `num_samples` times that of `method`, its passes shared with the other methods in `score`.

    Args:
        model: Model with one row of logits per image.
        images: Images (B, C, *S) in the model's input space.
        maps: Raw maps (B, *S).
        targets: Target classes (B,).
        method: What made the maps.
        num_samples: Number of changed images.
        radius: Greatest change of any pixel in units of the image's own range.
        seed: Seed of the changes.
        max_batch_size: Most images in one pass.

    Returns:
        Scores (B,).

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> def brightness(model, images, targets):
        ...     return images.mean(dim=1)
        >>> images = torch.linspace(0, 1, 4).reshape(1, 1, 2, 2)
        >>> model = lambda images: images.flatten(1)
        >>> max_sensitivity(model, images, images[:, 0], torch.tensor([0]), method=brightness) < 2 * 0.02 / 1.2472
        tensor([True])

    References:
        Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", 2019. https://arxiv.org/abs/1901.09392
    """
    metric = MaxSensitivity(radius, num_samples=num_samples, seed=seed)
    return scores_of(metric, model, images, maps, targets, method=method, max_batch_size=max_batch_size)


class MaxSensitivity(ExplanationMetric):
    """Mean `max_sensitivity` over images, lower is better.

    Args:
        radius: Greatest change of any pixel in units of the image's own range.
        num_samples: Number of changed images.
        seed: Seed of the changes.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> MaxSensitivity().needs
        ('methods',)
    """

    higher_is_better = False
    name = "max_sensitivity"
    plot_lower_bound = 0.0
    needs: tuple[str, ...] = ("methods",)

    def __init__(
        self, radius: float = 0.02, *, num_samples: int = 10, seed: int = 0, name: str | None = None, **kwargs: Any
    ) -> None:
        check_number("radius", radius, minimum=0)
        check_integer("num_samples", num_samples, minimum=1)
        check_integer("seed", seed, minimum=0)
        super().__init__(options=(radius, num_samples, seed), name=name, **kwargs)
        self.radius, self.num_samples, self.seed = radius, num_samples, seed

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        key = ("max sensitivity", self.radius, self.num_samples, self.seed)
        # All methods are explained again together, so that they share their passes, and only distances are kept.
        return Measured(trial.predict.share(key, lambda: self._sensitivities(trial))[trial.name])

    def _sensitivities(self, trial: Trial) -> dict[str, Scores]:
        if trial.explain_again is None:
            raise ValueError(f"Expected `methods` for metric {self.name!r}, but got None: pass them, or leave it out.")
        furthest = {name: torch.zeros_like(_norms(maps)) for name, maps in trial.all_maps.items()}
        for index in range(self.num_samples):
            again = trial.explain_again(trial.images + self._change(trial.images, index))
            for name, maps in trial.all_maps.items():
                furthest[name] = torch.maximum(furthest[name], _norms(again[name].double() - maps))
        return {name: _relative(furthest[name], _norms(maps)).to(maps) for name, maps in trial.all_maps.items()}

    def _change(self, images: Images, index: int) -> Tensor:
        draw = torch.rand(images.shape[1:], generator=keyed_generator("ball", self.seed, index)).to(images)
        flat = images.flatten(1)
        reach = self.radius * (flat.amax(dim=1) - flat.amin(dim=1))
        return reach.reshape(-1, *[1] * (images.ndim - 1)) * (2 * draw - 1)


def _norms(maps: Maps) -> Scores:
    norms: Tensor = torch.linalg.vector_norm(maps.flatten(1).double(), dim=1)
    return norms


def _relative(distances: Scores, norms: Scores) -> Scores:
    ratios = torch.where(norms > 0, distances / norms, (distances > 0).to(distances))
    return ratios.clamp(max=torch.finfo(torch.float32).max)
