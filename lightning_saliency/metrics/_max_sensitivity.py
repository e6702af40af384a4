"""Max-sensitivity: how far does the map move when the image hardly does?"""

from dataclasses import field

import torch

from lightning_saliency._checks import check_integer, check_level
from lightning_saliency._exact import exact
from lightning_saliency._types import Maps, Scores
from lightning_saliency.metrics._metric import ExplanationMetric
from lightning_saliency.passes.changes import Shaken
from lightning_saliency.passes.trials import Measured, Shared, Trial


class MaxSensitivity(ExplanationMetric):
    """Greatest relative distance between the map and maps of slightly changed images.

    Changes are uniform in a cube around the image, drawn once by seed, alike for every image. The distance is
    Euclidean and in units of the map's own norm: from 0, lower is better. Scaling all maps or all logits
    changes nothing, shifting all maps lowers it. A map of zeros scores 0 where all its neighbours are zeros
    too, and otherwise 1: it moves by all of what it becomes. The score says nothing about the model: a map
    that never changes scores 0.

    Cost: `num_samples` times that of `method`, its passes shared with the other methods in `score`.

    Args:
        radius: Greatest change of any pixel in units of the image's own range.
        num_samples: Number of changed images.
        seed: Seed of the changes.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> def brightness(model, images, targets):
        ...     return images.mean(dim=1)
        >>> images = torch.linspace(0, 1, 4).reshape(1, 1, 2, 2)
        >>> model, targets = lambda images: images.flatten(1), torch.tensor([0])
        >>> scores = MaxSensitivity().scores(model, images, images[:, 0], targets, method=brightness)
        >>> scores < 2 * 0.02 / 1.2472
        tensor([True])
        >>> MaxSensitivity().needs
        ('methods',)

    References:
        Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", 2019. https://arxiv.org/abs/1901.09392
    """

    higher_is_better = False
    name = "max_sensitivity"
    plot_lower_bound = 0.0
    needs = ("methods",)

    radius: float = 0.02
    num_samples: int = field(default=10, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def check(self) -> None:
        """Refuse a negative radius and too few samples."""
        super().check()
        check_level("radius", self.radius)
        check_integer("num_samples", self.num_samples, minimum=1)
        check_integer("seed", self.seed, minimum=0)

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        changes = tuple(Shaken(self.radius, self.seed, index) for index in range(self.num_samples))
        return Measured(trial.once(_Sensitivities(changes))[trial.name])


class _Sensitivities(Shared):
    """Greatest relative distances by method: all methods explain the changed images together."""

    changes: tuple[Shaken, ...]

    def make(self, trial: Trial) -> dict[str, Scores]:
        """Explain the changed images, of which only distances are kept."""
        furthest = {name: torch.zeros_like(_norms(maps)) for name, maps in trial.all_maps.items()}
        for change in self.changes:
            again = trial.explained(change.make(trial), trial.target)
            for name, maps in trial.all_maps.items():
                furthest[name] = torch.maximum(furthest[name], _norms(exact(again[name]) - maps))
        return {name: _relative(furthest[name], _norms(maps)).to(maps) for name, maps in trial.all_maps.items()}


def _norms(maps: Maps) -> Scores:
    norms: Scores = torch.linalg.vector_norm(exact(maps.flatten(1)), dim=1)
    return norms


def _relative(distances: Scores, norms: Scores) -> Scores:
    ratios = torch.where(norms > 0, distances / norms, (distances > 0).to(distances))
    return ratios.clamp(max=torch.finfo(torch.float32).max)
