"""ROAD: remove pixels so that no edge of the mask can be read, the most salient first and last."""

from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lightning_saliency._checks import check_choice, check_fraction, check_integer, check_number
from lightning_saliency._random import keyed_generator
from lightning_saliency._types import Images, Maps, Masks, Model, Scores, Targets
from lightning_saliency.metrics._curve import CurveMetric
from lightning_saliency.metrics._probability import ACTIVATIONS, Activation, target_probability
from lightning_saliency.metrics._scoring import scores_of
from lightning_saliency.passes.imputation import impute
from lightning_saliency.passes.predictions import Change
from lightning_saliency.passes.trials import Measured, Trial


def road(
    model: Model,
    images: Images,
    maps: Maps,
    targets: Targets,
    *,
    fractions: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8),
    noise_level: float = 0.01,
    activation: Activation = "softmax",
    seed: int = 0,
    max_batch_size: int = 64,
) -> Scores:
    """Target's probability without the least salient pixels minus that without the most salient ones.

    Removed pixels become the weighted mean of their neighbours plus a little noise, so that a mask
    leaves no edge that the model could read, and no colour has to be chosen. The difference is averaged over
    fractions removed, exactly counted: in [-1, 1], higher is better, and 0 on average for a random map.
    Scaling and shifting a map change nothing; scaling the logits does. At least one pixel is kept.

    Cost: two forwards per fraction and image, and as many sparse linear systems, solved together.

    Args:
        model: Model with one row of logits per image.
        images: Images (B, C, *S) in the model's input space.
        maps: Raw maps (B, *S).
        targets: Target classes (B,).
        fractions: Fractions of the pixels to remove.
        noise_level: Standard deviation of the noise on removed pixels in units of the image's own range.
        activation: Turns logits into probabilities.
        seed: Seed of the noise, which is the same for every image.
        max_batch_size: Most images in one pass.

    Returns:
        Scores (B,).

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images.sum(dim=(1, 2, 3)), torch.zeros(len(images))], dim=1)
        >>> spot = torch.zeros(1, 5, 5).index_fill(1, torch.tensor([2]), 1.0)
        >>> road(model, spot[:, None], spot, torch.tensor([0]), fractions=(0.2,)) > 0.4
        tensor([True])

    References:
        Rong et al., "A Consistent and Efficient Evaluation Strategy for Attribution Methods", 2022.
        https://arxiv.org/abs/2202.00449
    """
    metric = ROAD(fractions, noise_level=noise_level, activation=activation, seed=seed)
    return scores_of(metric, model, images, maps, targets, max_batch_size=max_batch_size)


class ROAD(CurveMetric):
    """Mean `road` over images, in [-1, 1], higher is better.

    Args:
        fractions: Fractions of the pixels to remove.
        noise_level: Standard deviation of the noise on removed pixels in units of the image's own range.
        activation: Turns logits into probabilities.
        seed: Seed of the noise, which is the same for every image.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> ROAD().points
        (0.2, 0.4, 0.6, 0.8)
    """

    higher_is_better = True
    name = "road"
    plot_lower_bound = -1.0
    plot_upper_bound = 1.0
    curve_axes: ClassVar[tuple[str, str]] = ("fraction removed", "least minus most salient removed")

    def __init__(
        self,
        fractions: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8),
        *,
        noise_level: float = 0.01,
        activation: Activation = "softmax",
        seed: int = 0,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if not fractions:
            raise ValueError(f"Expected `fractions` to hold at least one fraction, but got {fractions!r}.")
        for fraction in fractions:
            check_fraction("fractions", fraction)
        check_number("noise_level", noise_level, minimum=0)
        check_choice("activation", activation, ACTIVATIONS)
        check_integer("seed", seed, minimum=0)
        super().__init__(options=(noise_level, activation, seed), points=fractions, name=name, **kwargs)
        self.noise_level, self.activation, self.seed = noise_level, activation, seed

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        most, least = self._probabilities(trial, "most"), self._probabilities(trial, "least")
        return Measured((least - most).mean(dim=1), least - most)

    def _probabilities(self, trial: Trial, which: Literal["most", "least"]) -> Tensor:
        counts = [min(round(fraction * trial.num_positions), trial.num_positions - 1) for fraction in self.points]
        logits = trial.predict([self._removal(trial, which, count) for count in counts])
        return torch.stack([target_probability(found, trial.targets, self.activation) for found in logits], dim=1)

    def _removal(self, trial: Trial, which: Literal["most", "least"], count: int) -> Change:
        if count == 0:
            return trial.predict.intact
        key = ("impute", which, count, self.noise_level, self.seed)
        return trial.change(*key, make=partial(self._removed, trial, which, count))

    def _removed(self, trial: Trial, which: Literal["most", "least"], count: int) -> Images:
        mask: Masks = trial.most_salient(count) if which == "most" else trial.least_salient(count)
        images = trial.images
        draw = torch.randn(images.shape[1:], generator=keyed_generator("road", self.seed)).to(images)
        flat = images.flatten(1)
        spread = (flat.amax(dim=1) - flat.amin(dim=1)).reshape(-1, *[1] * (images.ndim - 1))
        noisy = impute(images, mask) + self.noise_level * spread * draw
        return torch.where(mask[:, None], noisy, images)
