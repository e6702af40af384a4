"""Important-direction gradient integration: only the change of the logit counts, not the noise across it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from torch import Tensor

from lightning_saliency._types import Images, Model, Targets
from lightning_saliency.methods._aggregation import Aggregation, Guide, check_aggregation
from lightning_saliency.methods._blur_integrated_gradients import BlurIntegratedGradients
from lightning_saliency.methods._guided_integrated_gradients import GuidedIntegratedGradients
from lightning_saliency.methods._integrated_gradients import IntegratedGradients
from lightning_saliency.methods._walking_method import WalkingMethod
from lightning_saliency.passes.guided_path import read_path
from lightning_saliency.passes.path_statistics import ImportantDirections
from lightning_saliency.passes.points import Points
from lightning_saliency.passes.statistics import Part, Statistic
from lightning_saliency.passes.stream import Reading, read_streams

PathMethod: TypeAlias = IntegratedGradients | GuidedIntegratedGradients | BlurIntegratedGradients


@dataclass(frozen=True)
class IDGI(WalkingMethod):
    """Change of the logit along a path, dealt out at each step by the squared gradient at its start.

    Of a step of the path only the part along the gradient changes the logit; the rest is noise, and here
    gets nothing. `attribute` sums exactly to the difference of the logits at the path's ends, however few the
    steps, but for steps at whose start the gradient vanishes everywhere. Maps are magnitudes summed over
    channels, in units of logit. Cost: one forward and backward per image for each point, one point more
    than `around` has steps.

    Args:
        around: Method whose path is taken: `IntegratedGradients`, `GuidedIntegratedGradients` or
            `BlurIntegratedGradients`. Only its path counts: points are evenly spaced, both ends included.
        aggregation: Which part of what a step deals out is summed: `"signed"`, `"positive"`, `"negative"`
            or `"absolute"`.
        guide: Weight of features whose gradients vary little along the path, as in `GuidedAbsoluteGrad`.
        percentile: Quantile of the variance in [0, 1) above which a feature counts fully; 0 is no guide.
        name: Key in results and logs.

    Raises:
        TypeError: If `around` is another kind of method.
        ValueError: If a number is out of range or a choice unknown.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, -2.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]))
        >>> method = IDGI(IntegratedGradients(baseline="black"))
        >>> method.attribute(model, torch.tensor([[[[0.9, 0.0], [0.3, 0.9]]]]), torch.tensor([0])).round(decimals=3)
        tensor([[[[0.3000, 1.2000],
                  [0.0000, 1.2000]]]])

    References:
        Yang et al., "IDGI: A Framework to Eliminate Explanation Noise from Integrated Gradients", 2023.
        https://arxiv.org/abs/2303.14242
    """

    around: PathMethod = field(default_factory=IntegratedGradients)
    aggregation: Aggregation = "signed"
    guide: Guide | None = None
    percentile: float = 0.85
    name: str = "idgi"

    def __post_init__(self) -> None:
        """Check the arguments."""
        if not isinstance(self.around, PathMethod):
            raise TypeError(
                "Expected `around` to be an instance of IntegratedGradients, GuidedIntegratedGradients or "
                f"BlurIntegratedGradients, but got {self.around!r}."
            )
        check_aggregation(self.aggregation, self.guide, self.percentile, self.around.num_steps + 1, "num_steps")

    def baselines(self, images: Images) -> tuple[Images, ...]:
        """Return what the attribution is complete against: the start of the path."""
        return self.around.baselines(images)

    def quantity(self, part: Part) -> Statistic:
        """Changes of the logit, dealt out."""
        return ImportantDirections(part)

    def walk(
        self, model: Model, images: Images, targets: Targets, statistics: tuple[Statistic, ...], max_batch_size: int
    ) -> Iterator[tuple[Tensor, ...]]:
        """Walk the path of `around`, both ends included."""
        if isinstance(self.around, GuidedIntegratedGradients):
            yield from read_path(self.around.path(), model, images, targets, statistics, max_batch_size, ends=True)
            return
        readings = [Reading(self._points(self.around), statistic) for statistic in statistics]
        # A batch of fewer images may be a chunk of a caller who wants no larger passes.
        size = min(max_batch_size, len(images))
        for _, values in read_streams(model, images, targets, readings, size):
            yield tuple(values[reading] for reading in readings)

    @staticmethod
    def _points(around: IntegratedGradients | BlurIntegratedGradients) -> Points:
        return around.path("ends") if isinstance(around, IntegratedGradients) else around.path(ends=True)
