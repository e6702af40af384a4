"""Gradients integrated along a straight path from a baseline."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal, Self

from torch import Tensor

from lightning_saliency._checks import check_choice, check_integer
from lightning_saliency._types import Images, Maps, Model
from lightning_saliency.methods._aggregation import Aggregation, aggregate, check_aggregation, readings_of
from lightning_saliency.methods._baseline import baseline_of, set_baseline
from lightning_saliency.methods._completeness import warn_of_gap
from lightning_saliency.methods._stream_method import CompleteMethod
from lightning_saliency.passes.canvases import Canvas
from lightning_saliency.passes.guides import Guide
from lightning_saliency.passes.path_statistics import Accounted, AccountedChange, MeanContribution
from lightning_saliency.passes.paths import Rule, StraightPath
from lightning_saliency.passes.references import PerChannel, References
from lightning_saliency.passes.statistics import Statistic
from lightning_saliency.passes.stream import Reading, read_points
from lightning_saliency.targets import Target

WAY_OUT: Final = "Use more `num_steps`, or `IDGI`, which accounts for the change with any number of steps."


@dataclass(frozen=True)
class IntegratedGradients(CompleteMethod):
    """Difference from a baseline times the mean gradient on the path, its magnitudes summed over channels.

    `attribute` is complete: its sum over an image is the target's logit there minus the logit at the
    baseline, up to the error of the quadrature. If that is more than a fifth of the change, maps come with a warning;
    it needs no further pass. An image equal to the baseline has a zero map. Maps are in
    units of logit. Cost: `num_steps` forwards and backwards per image, shared with every method on an equal path.

    Args:
        num_steps: Number of points on the path.
        baseline: Start of the path: `"mean"`, the data set's mean colour, which is zero in normalised images (with
            `mean=None` each image's mean colour); `"black"` or `"white"` of raw pixel space; `"blur"`, the image
            blurred by a tenth of its longest side; or one image (C, *S) in the model's input space.
        mean: Mean that the images were normalised with; `None` with images in [0, 1], or unknown.
        std: Standard deviation that they were normalised with.
        rule: Rule of the integral: `"gauss_legendre"`, or `"left"` for the Riemann sum of left ends.
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
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, -3.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]))
        >>> method = IntegratedGradients(num_steps=4, baseline="white")
        >>> method.attribute(model, torch.full((1, 1, 2, 2), 0.5), torch.tensor([0])).sum().item()
        0.0
        >>> method(model, torch.full((1, 1, 2, 2), 0.5), torch.tensor([0]))
        tensor([[[0.5000, 1.5000],
                 [0.0000, 1.0000]]])

    References:
        Sundararajan et al., "Axiomatic Attribution for Deep Networks", 2017. https://arxiv.org/abs/1703.01365
    """

    num_steps: int = 20
    baseline: Canvas | References | Tensor = "mean"
    mean: PerChannel = None
    std: PerChannel = None
    rule: Literal["gauss_legendre", "left"] = "gauss_legendre"
    aggregation: Aggregation = "signed"
    guide: Guide | None = None
    percentile: float = 0.85
    name: str = "integrated_gradients"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_integer("num_steps", self.num_steps, minimum=1)
        check_choice("rule", self.rule, ("gauss_legendre", "left"))
        check_aggregation(self.aggregation, self.guide, self.percentile, self.num_steps, "num_steps")
        set_baseline(self)

    def with_normalization(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Self:
        """Return a copy that knows how images were normalised, unless it does already."""
        return replace(self, mean=mean, std=std) if self.mean is None else self

    def path(self, rule: Rule) -> StraightPath:
        """Return the points on the path, spaced as the rule says."""
        return StraightPath(baseline_of(self.baseline, self.mean, self.std), self.num_steps, rule)

    def baselines(self, images: Images) -> tuple[Images, ...]:
        """Return the start of the path, which the attribution is complete against."""
        return (self.path(self.rule).baseline.of(images),)

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The change that the path accounts for, and the mean contribution on it."""
        path = self.path(self.rule)
        quantities = readings_of(path, MeanContribution(self.aggregation), self.guide, self.percentile)
        return (Reading(path, AccountedChange(path.outside)), *quantities)

    @property
    def contribution(self) -> Reading:
        """The mean contribution with its sign."""
        return Reading(self.path(self.rule), MeanContribution())

    def formula(self, images: Images, accounted: Accounted, *values: Tensor) -> Maps:
        """Guide, and sum the channels' magnitudes."""
        warn_of_gap(self.name, self.num_steps, accounted, WAY_OUT)
        return aggregate(values, self.guide, self.percentile)

    def walk_to_end(
        self, model: Model, images: Images, target: Target, statistics: tuple[Statistic, ...], max_batch_size: int
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield, chunk after chunk, the value of every statistic on the path with both ends."""
        return read_points(self.path("ends"), model, images, target, statistics, max_batch_size)
