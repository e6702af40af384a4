"""ROAD: remove pixels so that no edge of the mask can be read, the most salient first and last."""

from dataclasses import field

from torch import Tensor

from lightning_saliency._checks import check_fraction, check_integer, check_level
from lightning_saliency.metrics._canvas_metric import OutcomeMetric
from lightning_saliency.metrics._curve import CurveMetric
from lightning_saliency.metrics._normalized import NormalizedMetric
from lightning_saliency.passes.changes import End, Imputed
from lightning_saliency.passes.trials import Measured, Trial


class ROAD(NormalizedMetric, OutcomeMetric, CurveMetric):
    """Target's probability without the least salient pixels minus that without the most salient ones.

    Removed pixels become the weighted mean of their neighbours plus a little noise, so that a mask
    leaves no edge that the model could read, and no colour has to be chosen. The difference is averaged over
    fractions removed, exactly counted: in [-1, 1], higher is better, and 0 on average for a random map.
    Scaling and shifting a map change nothing; scaling the logits does. At least one pixel is kept. Of a target without
    a probability its values are compared, in their own units.

    Cost: two forwards per fraction and image, and as many sparse linear systems, solved together on ever coarser grids
    in about the time of the forwards (EfficientNet-Lite0 at 224 pixels on a CPU). A GPU is waited for at every fourth
    step of the solver, which ends when all systems are solved.

    Args:
        fractions: Fractions of the pixels to remove.
        noise_level: Standard deviation of the noise on removed pixels in units of the image's own range.
        normalize: `"intact"` divides probabilities by that of the intact image, up to 1.
        activation: Turns logits into probabilities; `"sigmoid"` for multi-label models.
        seed: Seed of the noise, which is the same for every image.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images.sum(dim=(1, 2, 3)), torch.zeros(len(images))], dim=1)
        >>> spot = torch.zeros(1, 5, 5).index_fill(1, torch.tensor([2]), 1.0)
        >>> ROAD((0.2,)).scores(model, spot[:, None], spot, torch.tensor([0])) > 0.4
        tensor([True])
        >>> ROAD().points
        (0.2, 0.4, 0.6, 0.8)

    References:
        Rong et al., "A Consistent and Efficient Evaluation Strategy for Attribution Methods", 2022.
        https://arxiv.org/abs/2202.00449
    """

    higher_is_better = True
    name = "road"
    plot_lower_bound = -1.0
    plot_upper_bound = 1.0
    curve_axes = ("fraction removed", "least minus most salient removed")

    fractions: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    noise_level: float = field(default=0.01, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def check(self) -> None:
        """Refuse fractions outside [0, 1) and negative noise."""
        super().check()
        if not isinstance(self.fractions, tuple) or not self.fractions:
            raise ValueError(f"Expected `fractions` to hold at least one fraction, but got {self.fractions!r}.")
        for fraction in self.fractions:
            check_fraction("fractions", fraction)
        check_level("noise_level", self.noise_level)
        check_integer("seed", self.seed, minimum=0)

    @property
    def points(self) -> tuple[float, ...]:
        """The fractions of the pixels that are removed."""
        return self.fractions

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        most, least = self._outcomes_without("most", trial), self._outcomes_without("least", trial)
        curves = least - most
        return Measured(curves.mean(dim=1), curves)

    def _outcomes_without(self, which: End, trial: Trial) -> Tensor:
        counts = [min(round(fraction * trial.num_positions), trial.num_positions - 1) for fraction in self.points]
        changes = [Imputed(which, count, self.noise_level, self.seed) for count in counts]
        return self.relative(trial, self.outcomes(trial, changes))
