"""Gradients integrated from a blurred image to the sharp one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from lightning_saliency._checks import check_integer, check_level
from lightning_saliency._types import Images, Maps, Model
from lightning_saliency.methods._aggregation import Aggregation, aggregate, check_aggregation, readings_of
from lightning_saliency.methods._completeness import warn_of_gap
from lightning_saliency.methods._stream_method import CompleteMethod
from lightning_saliency.passes.blur import gaussian_blur
from lightning_saliency.passes.guides import Guide
from lightning_saliency.passes.path_statistics import Accounted, AccountedChange, MeanContribution
from lightning_saliency.passes.paths import BlurPath
from lightning_saliency.passes.statistics import Statistic
from lightning_saliency.passes.stream import Reading, read_points
from lightning_saliency.targets import Target

WAY_OUT: Final = "Use more `num_steps`, a smaller `max_sigma`, or `IDGI(BlurIntegratedGradients())`."


@dataclass(frozen=True)
class BlurIntegratedGradients(CompleteMethod):
    """Gradient times movement, summed while a Gaussian blur shrinks to nothing; magnitudes summed over channels.

    The path needs no baseline colour and never contains structure that is not in the image. `attribute` is complete
    against the blurred image up to the error of the sum. A linear model has no such error; on a network it shrinks
    slower than on a straight path, so take more steps, or a smaller `max_sigma`. If it is more than a fifth of the
    change, maps come with a warning. The blur's kernel is cut at 4 sigma
    and the image mirrored at its edges (the original code darkens them), so that a constant image does not change and
    has a zero map. Steps are finer where the blur is fine. Works on signals, pictures and volumes. Maps are in units of
    logit. Cost: `num_steps` forwards and backwards per image.

    Args:
        num_steps: Number of steps from blurred to sharp.
        max_sigma: Standard deviation of the first blur, in pixels.
        aggregation: Which part of each step's product of gradient and movement is summed: `"signed"`,
            `"positive"`, `"negative"` or `"absolute"`.
        guide: Weight of features whose gradients vary little along the path, as in `GuidedAbsoluteGrad`.
        percentile: Quantile of the variance in [0, 1) above which a feature counts fully; 0 is no guide.
        name: Key in results and logs.

    Raises:
        ValueError: If a number is out of range or a choice unknown.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))
        >>> images = torch.tensor([[[[0.0, 0.0], [0.0, 4.0]]]])
        >>> BlurIntegratedGradients(num_steps=4)(model, images, torch.tensor([0])).round(decimals=3)
        tensor([[[1., 1.],
                 [0., 0.]]])

    References:
        Xu et al., "Attribution in Scale and Space", 2020. https://arxiv.org/abs/2004.03383
    """

    num_steps: int = 20
    max_sigma: float = 50.0
    aggregation: Aggregation = "signed"
    guide: Guide | None = None
    percentile: float = 0.85
    name: str = "blur_integrated_gradients"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_integer("num_steps", self.num_steps, minimum=1)
        check_level("max_sigma", self.max_sigma)
        check_aggregation(self.aggregation, self.guide, self.percentile, self.num_steps, "num_steps")

    def path(self, *, ends: bool = False) -> BlurPath:
        """Return the points on the path: the middles of its steps, or their borders."""
        return BlurPath(float(self.max_sigma), self.num_steps, ends)

    def baselines(self, images: Images) -> tuple[Images, ...]:
        """Return the blurred image, which the attribution is complete against."""
        return (gaussian_blur(images, float(self.max_sigma)),)

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The change that the path accounts for, and the mean contribution on it."""
        path = self.path()
        quantities = readings_of(path, MeanContribution(self.aggregation), self.guide, self.percentile)
        return (Reading(path, AccountedChange(path.outside)), *quantities)

    @property
    def contribution(self) -> Reading:
        """The mean contribution with its sign."""
        return Reading(self.path(), MeanContribution())

    def formula(self, images: Images, accounted: Accounted, *values: Tensor) -> Maps:
        """Guide, and sum the channels' magnitudes."""
        warn_of_gap(self.name, self.num_steps, accounted, WAY_OUT)
        return aggregate(values, self.guide, self.percentile)

    def walk_to_end(
        self, model: Model, images: Images, target: Target, statistics: tuple[Statistic, ...], max_batch_size: int
    ) -> Iterator[tuple[Tensor, ...]]:
        """Yield, chunk after chunk, the value of every statistic on the path with both ends."""
        return read_points(self.path(ends=True), model, images, target, statistics, max_batch_size)
