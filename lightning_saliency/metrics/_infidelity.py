"""Infidelity: how much of what perturbations do to the logit does the map leave unexplained?"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._checks import check_choice, check_integer, check_number
from lightning_saliency._types import Images, Maps, Masks, Model, Scores, Targets
from lightning_saliency.metrics._canvas_metric import CanvasMetric
from lightning_saliency.metrics._perturbations import draw_noise, draw_squares
from lightning_saliency.metrics._scoring import scores_of
from lightning_saliency.passes.colours import Canvas, ChannelValues
from lightning_saliency.passes.predictions import Change
from lightning_saliency.passes.trials import Measured, Trial

Perturbation: TypeAlias = Literal["square", "gaussian"]
PERTURBATIONS: Final = ("square", "gaussian")


def infidelity(
    model: Model,
    images: Images,
    maps: Maps,
    targets: Targets,
    *,
    perturbation: Perturbation = "square",
    num_samples: int = 40,
    noise_level: float = 0.2,
    normalize: bool = True,
    scale: bool = True,
    seed: int = 0,
    canvas: Canvas = "black",
    mean: ChannelValues | None = None,
    std: ChannelValues | None = None,
    method: Any = None,
    max_batch_size: int = 64,
) -> Scores:
    """Mean squared gap between what the map says a perturbation does to the target's logit and what it does.

    A map speaks of a perturbation by the sum of its values there: over the square that is painted over, or
    over all pixels, times the noise. Each image's map is first scaled by the factor that suits it best, so that
    units do not matter, and the gap is divided by the mean squared change of the logit: what is left is the
    unexplained fraction, from 0 to 1, lower is better. Scaling a map or all logits changes nothing;
    shifting a map does. A map of zeros explains nothing and scores 1; so does any map where no
    perturbation moves the logit.

    Squares ask for the sum over many pixels: maps whose mass lies in few pixels can score worse than random
    ones, which say at least how large a square is. Read the score against a control map's. In single precision
    the changes of a logit that hardly moves, as an untrained network's, are known to few digits.

    Squares have sides of up to 10/28 of the image's, Yeh's for digits, and are drawn like the noise once by
    seed, alike for every image. Noise asks for signed attributions per unit of the input: they are taken from
    the method's `attribute(model, images, targets)`, and `maps` do not enter.

    Cost: `num_samples` forwards per image and one of the intact image, shared by all maps.

    Args:
        model: Model with one row of logits per image.
        images: Images (B, C, *S) in the model's input space.
        maps: Raw maps (B, *S).
        targets: Target classes (B,).
        perturbation: `"square"`, for maps of magnitude, or `"gaussian"`, for methods with signed attributions.
        num_samples: Number of perturbations.
        noise_level: Standard deviation of Gaussian noise in units of the image's own range.
        normalize: Whether to divide by the mean squared change of the logit; `False` gives Yeh's value,
            in squared logits.
        scale: Whether to scale each map optimally first.
        seed: Seed of the perturbations.
        canvas: What squares are painted over with.
        mean: Mean that the images were normalised with.
        std: Standard deviation that they were normalised with.
        method: What made the maps.
        max_batch_size: Most images in one pass.

    Returns:
        Scores (B,).

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> def model(images):
        ...     return torch.stack([images.sum(dim=(1, 2, 3)), torch.zeros(len(images))], dim=1)
        >>> images = torch.rand(1, 1, 4, 4)
        >>> infidelity(model, images, images[:, 0], torch.tensor([0])).round(decimals=4)
        tensor([0.])

    References:
        Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", 2019. https://arxiv.org/abs/1901.09392
    """
    metric = Infidelity(
        perturbation,
        num_samples=num_samples,
        noise_level=noise_level,
        normalize=normalize,
        scale=scale,
        seed=seed,
        canvas=canvas,
        mean=mean,
        std=std,
    )
    return scores_of(metric, model, images, maps, targets, method=method, max_batch_size=max_batch_size)


class Infidelity(CanvasMetric):
    """Mean `infidelity` over images, the unexplained fraction from 0 to 1, lower is better.

    Args:
        perturbation: `"square"`, for maps of magnitude, or `"gaussian"`, for methods with signed attributions.
        num_samples: Number of perturbations.
        noise_level: Standard deviation of Gaussian noise in units of the image's own range.
        normalize: Whether to divide by the mean squared change of the logit; `False` gives Yeh's value,
            in squared logits.
        scale: Whether to scale each map optimally first.
        seed: Seed of the perturbations.
        canvas: What squares are painted over with.
        mean: Mean that the images were normalised with.
        std: Standard deviation that they were normalised with.
        name: Key in results and logs; `"infidelity"`, for Gaussian noise `"infidelity_gaussian"`.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> Infidelity("gaussian").needs
        ('methods',)
    """

    higher_is_better = False
    name = "infidelity"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(
        self,
        perturbation: Perturbation = "square",
        *,
        num_samples: int = 40,
        noise_level: float = 0.2,
        normalize: bool = True,
        scale: bool = True,
        seed: int = 0,
        canvas: Canvas = "black",
        mean: ChannelValues | None = None,
        std: ChannelValues | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice("perturbation", perturbation, PERTURBATIONS)
        check_integer("num_samples", num_samples, minimum=2)  # one perturbation is explained by any map
        check_number("noise_level", noise_level, minimum=0)
        check_integer("seed", seed, minimum=0)
        noisy = perturbation == "gaussian"
        super().__init__(
            canvas,
            mean=mean,
            std=std,
            options=(perturbation, num_samples, noise_level, normalize, scale, seed),
            name=name or ("infidelity_gaussian" if noisy else None),
            **kwargs,
        )
        self.perturbation, self.num_samples, self.noise_level = perturbation, num_samples, noise_level
        self.normalize, self.scale, self.seed = normalize, scale, seed
        if noisy:
            self.needs, self.needs_colours = ("methods",), False

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        changes, said = self._noises(trial) if self.perturbation == "gaussian" else self._squares(trial)
        logits = torch.stack(trial.predict([trial.predict.intact, *changes]), dim=1)
        scores = logits[torch.arange(len(logits)), :, trial.targets].double()
        gaps = unexplained(said, scores[:, :1] - scores[:, 1:], self.normalize, self.scale)
        return Measured(gaps.to(logits.dtype))

    def _squares(self, trial: Trial) -> tuple[list[Change], Tensor]:
        size = tuple(trial.maps.shape[1:])
        key = ("squares", self.num_samples, self.seed)
        squares: Masks = trial.predict.share(
            key, lambda: draw_squares(self.num_samples, size, self.seed).to(trial.maps.device)
        )
        canvas = trial.canvas(self.paint)
        changes = [
            Change((*key, self.paint, index), partial(_painted, trial, square, canvas))
            for index, square in enumerate(squares)
        ]
        return changes, trial.maps.flatten(1).double() @ squares.flatten(1).double().T

    def _noises(self, trial: Trial) -> tuple[list[Change], Tensor]:
        attributions = trial.predict.share(("attributions", trial.name), partial(_attributions, trial)).double()
        noise = partial(draw_noise, trial.images, noise_level=self.noise_level, seed=self.seed)
        changes = [
            Change(("noise", self.noise_level, self.seed, index), partial(_shifted, trial, noise, index))
            for index in range(self.num_samples)
        ]
        said = [(attributions * noise(index=index)).flatten(1).sum(dim=1) for index in range(self.num_samples)]
        return changes, torch.stack(said, dim=1)


def unexplained(said: Tensor, done: Tensor, normalize: bool, scale: bool) -> Scores:
    """Compare what maps say about perturbations with what those do, both (B, perturbations)."""
    factor = torch.ones_like(said[:, :1])
    if scale:
        power = said.square().sum(dim=1, keepdim=True)
        factor = torch.where(power > 0, (said * done).sum(dim=1, keepdim=True) / power, 0.0)
    gap = (done - factor * said).square().mean(dim=1)
    if not normalize:
        return gap
    moved = done.square().mean(dim=1)
    return torch.where(moved > 0, gap / moved, 1.0)


def _painted(trial: Trial, square: Masks, canvas: Tensor) -> Images:
    return torch.where(square, canvas, trial.images)


def _shifted(trial: Trial, noise: Callable[..., Images], index: int) -> Images:
    return trial.images - noise(index=index)


def _attributions(trial: Trial) -> Tensor:
    attribute = getattr(trial.method, "attribute", None)
    if attribute is None:
        raise ValueError(
            f"Expected method {trial.name!r} to have signed attributions for infidelity to Gaussian noise, but got "
            f'{trial.method!r} without `attribute`: use `perturbation="square"`, or leave the method out.'
        )
    with torch.enable_grad():
        attributions: Tensor = attribute(trial.predict.model, trial.images.clone(), trial.targets).detach()
    if attributions.shape != trial.images.shape:
        raise ValueError(
            f"Expected the attributions of {trial.name!r} to have the images' shape {tuple(trial.images.shape)} for "
            f"infidelity to Gaussian noise, but got {tuple(attributions.shape)}: "
            'use `perturbation="square"`, or leave the method out.'
        )
    return attributions
