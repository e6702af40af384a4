"""Infidelity: how much of what perturbations do to the logit does the map leave unexplained?"""

from dataclasses import field
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._checks import check_choice, check_flag, check_integer, check_level
from lightning_saliency._exact import exact
from lightning_saliency._types import Scores
from lightning_saliency.metrics._canvas_metric import CanvasMetric
from lightning_saliency.metrics._method_members import attribution_of
from lightning_saliency.passes.canvases import Canvas
from lightning_saliency.passes.changes import Intact, Noised, SquareCovered, Squares
from lightning_saliency.passes.trials import Change, Measured, Shared, Trial

Perturbation: TypeAlias = Literal["square", "gaussian"]
PERTURBATIONS: Final = ("square", "gaussian")


class Infidelity(CanvasMetric):
    """Mean squared gap between what the map says a perturbation does to the target's logit and what it does.

    The map predicts the effect of a perturbation as the sum of its values there: over the square that is painted
    over, or over all pixels, times the noise. Each image's map is first scaled by the factor that suits it best, so
    that units do not matter, and the gap is divided by the mean squared change of the logit. The score is the
    unexplained fraction, from 0 to 1, lower is better. Scaling a map or all logits changes nothing;
    shifting a map does. A map of zeros explains nothing and scores 1; so does any map where no
    perturbation moves the logit.

    Squares ask for the sum over many pixels: maps whose mass lies in few pixels can score worse than random
    ones, which say at least how large a square is. Read the score against a control map's. In single precision
    the changes of a logit that hardly moves, as an untrained network's, are accurate to few digits.

    Squares have sides of up to 10/28 of the image's, Yeh's for digits, and are drawn like the noise once by
    seed, alike for every image. Noise asks for signed attributions per unit of the input: they are taken from
    the method's `attribute(model, images, targets)`, and `maps` do not enter.

    In `docs/metrics.md` real maps win over random ones and over edges on 1 of 5 networks, and the score follows
    confidence by 0.42.

    Cost: `num_samples` forwards per image and one of the intact image, shared by all maps.

    Args:
        perturbation: `"square"`, for maps of magnitude, or `"gaussian"`, for methods with signed attributions.
        num_samples: Number of perturbations.
        noise_level: Standard deviation of Gaussian noise in units of the image's own range.
        normalize: Whether to divide by the mean squared change of the logit; `False` gives Yeh's value,
            in squared logits.
        scale: Whether to scale each map optimally first.
        seed: Seed of the perturbations.
        canvas: The paint over squares: `"black"`, `"white"`, `"mean"` or `"blur"`.
        mean: Mean that the images were normalised with; `None` with images in [0, 1].
        std: Standard deviation that they were normalised with.
        name: Key in results and logs; `"infidelity"`, for Gaussian noise `"infidelity_gaussian"`.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If an argument is out of its range; when updated, if noise is asked for and the method has no
            signed attributions.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images.sum(dim=(1, 2, 3)), torch.zeros(len(images))], dim=1)
        >>> images = torch.rand(1, 1, 4, 4)
        >>> Infidelity().scores(model, images, images[:, 0], torch.tensor([0])).round(decimals=4)
        tensor([0.])
        >>> Infidelity("gaussian").needs
        ('methods',)

    References:
        Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", 2019. https://arxiv.org/abs/1901.09392
    """

    higher_is_better = False
    name = "infidelity"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    perturbation: Perturbation = "square"
    num_samples: int = field(default=40, kw_only=True)
    noise_level: float = field(default=0.2, kw_only=True)
    normalize: bool = field(default=True, kw_only=True)
    scale: bool = field(default=True, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    canvas: Canvas = field(default="black", kw_only=True)

    def check(self) -> None:
        """Refuse unknown perturbations, and too few of them."""
        super().check()
        check_choice("perturbation", self.perturbation, PERTURBATIONS)
        check_flag("normalize", self.normalize)
        check_flag("scale", self.scale)
        check_integer("num_samples", self.num_samples, minimum=2)  # one perturbation is explained by any map
        check_level("noise_level", self.noise_level)
        check_integer("seed", self.seed, minimum=0)

    @property
    def usual_name(self) -> str:
        """The name of the perturbation's kind, for squares with the canvas unless it is black."""
        return "infidelity_gaussian" if self.perturbation == "gaussian" else super().usual_name

    @property
    def needs(self) -> tuple[str, ...]:
        """The methods, whose signed attributions noise is compared with."""
        return ("methods",) if self.perturbation == "gaussian" else ()

    @property
    def lacks_normalization(self) -> bool:
        """Whether squares are painted in a colour of raw pixels and the normalisation was not given."""
        return self.perturbation == "square" and super().lacks_normalization

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        changes, predicted = self._noises(trial) if self.perturbation == "gaussian" else self._squares(trial)
        values = trial.values([Intact(), *changes])
        effects = exact(values[:, :1]) - exact(values[:, 1:])
        scores = unexplained(predicted, effects, self.normalize, self.scale)
        # Squares of logits above 1e19 exceed single precision.
        return Measured(scores.clamp(max=torch.finfo(values.dtype).max).to(values.dtype))

    def _squares(self, trial: Trial) -> tuple[list[Change], Tensor]:
        squares = Squares(self.num_samples, self.seed)
        changes: list[Change] = [SquareCovered(squares, index, self.paint) for index in range(self.num_samples)]
        return changes, exact(trial.maps.flatten(1)) @ exact(trial.once(squares).flatten(1)).T

    def _noises(self, trial: Trial) -> tuple[list[Change], Tensor]:
        attribution = trial.once(_Attribution(trial.name))
        changes = [Noised(self.noise_level, self.seed, index) for index in range(self.num_samples)]
        predicted = [(attribution * change.noise(trial.images)).flatten(1).sum(dim=1) for change in changes]
        return list(changes), torch.stack(predicted, dim=1)


def unexplained(predicted: Tensor, effects: Tensor, normalize: bool, scale: bool) -> Scores:
    """Compare the effects of perturbations that maps predict with the real ones, both (B, perturbations)."""
    factor = torch.ones_like(predicted[:, :1])
    if scale:
        power = predicted.square().sum(dim=1, keepdim=True)
        factor = torch.where(power > 0, (predicted * effects).sum(dim=1, keepdim=True) / power, 0.0)
    gap = (effects - factor * predicted).square().mean(dim=1)
    if not normalize:
        return gap
    moved = effects.square().mean(dim=1)
    return torch.where(moved > 0, gap / moved, 1.0)


class _Attribution(Shared):
    """The signed attributions of one method, in double precision."""

    method: str

    def make(self, trial: Trial) -> Tensor:
        """Ask the method.

        Raises:
            ValueError: If it has none of the images' shape.
        """
        attribution = attribution_of(trial)
        if attribution is None:
            raise ValueError(
                f"Expected method {trial.name!r} to have signed attributions for infidelity to Gaussian noise, but got "
                f'{trial.method!r} without `attribute`: use `perturbation="square"`, or leave the method out.'
            )
        if attribution.shape != trial.images.shape:
            raise ValueError(
                f"Expected the attributions of {trial.name!r} to have the images' shape {tuple(trial.images.shape)} "
                f"for infidelity to Gaussian noise, but got {tuple(attribution.shape)}: "
                'use `perturbation="square"`, or leave the method out.'
            )
        return exact(attribution)
