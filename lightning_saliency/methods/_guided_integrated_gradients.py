"""Gradients integrated along a path that each image chooses for itself."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Self

from torch import Tensor

from lightning_saliency._checks import check_integer, check_number
from lightning_saliency._types import Images, Maps, Model
from lightning_saliency.methods._aggregation import Aggregation, aggregate, check_aggregation
from lightning_saliency.methods._baseline import baseline_of, set_baseline
from lightning_saliency.methods._completeness import warn_of_gap
from lightning_saliency.methods._walking_method import WalkingMethod
from lightning_saliency.passes.canvases import Canvas
from lightning_saliency.passes.guided_path import GuidedPath, read_path
from lightning_saliency.passes.guides import Guide
from lightning_saliency.passes.path_statistics import Accounted, AccountedChange, MeanContribution
from lightning_saliency.passes.references import PerChannel, References
from lightning_saliency.passes.statistics import Part, Statistic
from lightning_saliency.targets import Target

WAY_OUT: Final = "Use `IDGI(GuidedIntegratedGradients())`, which accounts for the change with any number of steps."


@dataclass(frozen=True)
class GuidedIntegratedGradients(WalkingMethod):
    """Integrated gradients along a path that moves the features with the smallest gradients first.

    The path avoids steep directions, which are often noise. At each step the `fraction` of features with the
    smallest gradients moves on, at most `max_dist` away from the straight path, until the step's share of the way is
    complete. With `fraction=1` it is the left Riemann sum on the straight path. If the model is smooth, `attribute`
    sums to the difference of the logits in the limit of small steps. In networks with ReLUs a feature with a small
    gradient can meet kinks on its way, and the sum can stay far off even with thousands of steps: use it inside
    `IDGI` where completeness matters. If more than a fifth of the difference is missing, maps come with a warning.
    Each image has its own path, so no pass is shared with other methods. Maps are in units of logit. Cost: `num_steps`
    forwards and backwards per image. At each step a GPU is waited for some times, to see whether enough features have
    moved.

    Args:
        num_steps: Number of steps.
        fraction: Share of features in (0, 1] that may move at a time.
        max_dist: Largest distance of a feature from the straight path, in shares of the way.
        baseline: Where the path starts, as in `IntegratedGradients`.
        mean: Mean that the images were normalised with; `None` with images in [0, 1], or unknown.
        std: Standard deviation that they were normalised with.
        aggregation: Which part of each step's product of gradient and movement is summed: `"signed"`,
            `"positive"`, `"negative"` or `"absolute"`.
        guide: Weight of features whose gradients vary little along the path, as in `GuidedAbsoluteGrad`.
        percentile: Quantile of the variance in [0, 1) above which a feature counts fully; 0 is no guide.
        name: Key in results and logs.

    Raises:
        TypeError: If `baseline` is a tensor of integers.
        ValueError: If a number is out of range or a choice unknown; when called, if the baseline does not fit
            the images, or is black or white and where these lie is unknown.

    Example:
        >>> import torch
        >>> def model(images):
        ...     product = images.flatten(1).prod(dim=1)
        ...     return torch.stack([product, -product], dim=1)
        >>> images = torch.tensor([[[[1.0, 2.0]]]])
        >>> method = GuidedIntegratedGradients(500, baseline=torch.zeros(1, 1, 2))
        >>> method.attribute(model, images, torch.tensor([0])).sum().round(decimals=1)
        tensor(2.)

    References:
        Kapishnikov et al., "Guided Integrated Gradients", 2021. https://arxiv.org/abs/2106.09788
    """

    num_steps: int = 20
    fraction: float = 0.25
    max_dist: float = 0.1
    baseline: Canvas | References | Tensor = "mean"
    mean: PerChannel = None
    std: PerChannel = None
    aggregation: Aggregation = "signed"
    guide: Guide | None = None
    percentile: float = 0.85
    name: str = "guided_integrated_gradients"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_integer("num_steps", self.num_steps, minimum=1)
        check_number("fraction", self.fraction)
        if not 0 < self.fraction <= 1:
            raise ValueError(f"Expected `fraction` to lie in (0, 1], but got {self.fraction}.")
        check_number("max_dist", self.max_dist, minimum=0)
        check_aggregation(self.aggregation, self.guide, self.percentile, self.num_steps, "num_steps")
        set_baseline(self)

    def with_normalization(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Self:
        """Return a copy that knows how images were normalised, unless it does already."""
        return replace(self, mean=mean, std=std) if self.mean is None else self

    def path(self) -> GuidedPath:
        """Return the rule by which images choose their paths."""
        baseline = baseline_of(self.baseline, self.mean, self.std)
        return GuidedPath(baseline, self.num_steps, float(self.fraction), float(self.max_dist))

    def baselines(self, images: Images) -> tuple[Images, ...]:
        """Return the start of the path, which the attribution is complete against."""
        return (self.path().baseline.of(images),)

    def quantity(self, part: Part) -> Statistic:
        """Gradient times movement."""
        return MeanContribution(part)

    @property
    def controls(self) -> tuple[Statistic, ...]:
        """The change that the path accounts for."""
        return (AccountedChange(self.path().outside),)

    def aggregated(self, accounted: Accounted, *values: Tensor) -> Maps:
        """Guide, and sum the channels' magnitudes."""
        warn_of_gap(self.name, self.num_steps, accounted, WAY_OUT)
        return aggregate(values, self.guide, self.percentile)

    def walk(
        self, model: Model, images: Images, target: Target, statistics: tuple[Statistic, ...], max_batch_size: int
    ) -> Iterator[tuple[Tensor, ...]]:
        """Walk each image's path up to the image, where nothing moves."""
        return read_path(self.path(), model, images, target, statistics, max_batch_size)

    def walk_to_end(
        self, model: Model, images: Images, target: Target, statistics: tuple[Statistic, ...], max_batch_size: int
    ) -> Iterator[tuple[Tensor, ...]]:
        """Walk each image's path, the image included."""
        return read_path(self.path(), model, images, target, statistics, max_batch_size, ends=True)
