"""Gradients integrated along a path that each image chooses for itself."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from lightning_saliency._checks import check_integer, check_number
from lightning_saliency._types import Images, Model, Targets
from lightning_saliency.methods._aggregation import Aggregation, Guide, check_aggregation
from lightning_saliency.methods._baseline import baseline_of
from lightning_saliency.methods._walking_method import WalkingMethod
from lightning_saliency.passes.guided_path import GuidedPath, read_path
from lightning_saliency.passes.path_statistics import MeanContribution
from lightning_saliency.passes.references import Colours, References, Start
from lightning_saliency.passes.statistics import Part, Statistic


@dataclass(frozen=True)
class GuidedIntegratedGradients(WalkingMethod):
    """Integrated gradients along a path that moves the features with the smallest gradients first.

    The path avoids the steep directions of noise: at each step the `fraction` of features with the smallest
    gradients goes ahead, as far as `max_dist` from the straight path allows, until the step's share of the
    way is done. With `fraction=1` it is the left Riemann sum on the straight path. `attribute` adds up to the
    difference of the logits in the limit of small steps where the model is smooth; on networks with ReLUs
    features that look flat meet kinks on their way, and the sum can stay far off even with thousands of
    steps: wrap it in `IDGI` where completeness matters. Each image has its own path, so no pass is shared
    with other methods. Maps are in units of logit. Cost: `num_steps` forwards and backwards per image.

    Args:
        num_steps: Number of steps.
        fraction: Share of features in (0, 1] that may move at a time.
        max_dist: Most that a feature may be ahead of or behind the straight path, in shares of the way.
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
    baseline: Start | References | Tensor = "mean"
    mean: Colours = None
    std: Colours = None
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
        checked = baseline_of(self.baseline, self.mean, self.std)
        for argument, value in (("baseline", checked.start), ("mean", checked.mean), ("std", checked.std)):
            object.__setattr__(self, argument, value)

    def path(self) -> GuidedPath:
        """Return the rule by which images choose their paths."""
        baseline = baseline_of(self.baseline, self.mean, self.std)
        return GuidedPath(baseline, self.num_steps, float(self.fraction), float(self.max_dist))

    def baselines(self, images: Images) -> tuple[Images, ...]:
        """Return what the attribution is complete against: the start of the path."""
        return (self.path().baseline.of(images),)

    def quantity(self, part: Part) -> Statistic:
        """Gradient times movement."""
        return MeanContribution(part)

    def walk(
        self, model: Model, images: Images, targets: Targets, statistics: tuple[Statistic, ...], max_batch_size: int
    ) -> Iterator[tuple[Tensor, ...]]:
        """Walk each image's own path, the image itself left out, since nothing moves there."""
        return read_path(self.path(), model, images, targets, statistics, max_batch_size)
