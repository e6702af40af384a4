"""Important-direction gradient integration: only the part of each step that changes the logit counts."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Self, TypeAlias

from torch import Tensor

from lightning_saliency._types import Images, Model
from lightning_saliency.methods._aggregation import Aggregation, check_aggregation
from lightning_saliency.methods._blur_integrated_gradients import BlurIntegratedGradients
from lightning_saliency.methods._guided_integrated_gradients import GuidedIntegratedGradients
from lightning_saliency.methods._integrated_gradients import IntegratedGradients
from lightning_saliency.methods._walking_method import WalkingMethod
from lightning_saliency.passes.guides import Guide
from lightning_saliency.passes.path_statistics import ImportantDirections
from lightning_saliency.passes.statistics import Part, Statistic
from lightning_saliency.targets import Target

PathMethod: TypeAlias = IntegratedGradients | GuidedIntegratedGradients | BlurIntegratedGradients


@dataclass(frozen=True)
class IDGI(WalkingMethod):
    """Change of the logit along a path, distributed at each step by the squared gradient at its start.

    Of a step of the path only the part along the gradient changes the logit. The rest is noise, and gets nothing.
    `attribute` sums exactly to the difference of the logits at the path's ends, however few the steps, except for
    steps at whose start the gradient vanishes everywhere. Maps are magnitudes summed over channels, in units of
    logit. Cost: one forward and backward per image for each point, one point more than `around` has steps.

    Args:
        around: Method whose path is used: `IntegratedGradients`, `GuidedIntegratedGradients` or
            `BlurIntegratedGradients`. Only its path counts: points are evenly spaced, both ends included.
        aggregation: Which part of what a step distributes is summed: `"signed"`, `"positive"`, `"negative"`
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
        """Return the start of the path, which the attribution is complete against."""
        return self.around.baselines(images)

    def quantity(self, part: Part) -> Statistic:
        """The changes of the logit, distributed."""
        return ImportantDirections(part)

    def with_normalization(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Self:
        """Return a copy whose path starts at a baseline that knows how images were normalised."""
        return replace(self, around=self.around.with_normalization(mean, std))

    def walk(
        self, model: Model, images: Images, target: Target, statistics: tuple[Statistic, ...], max_batch_size: int
    ) -> Iterator[tuple[Tensor, ...]]:
        """Walk the path of `around`, both ends included."""
        return self.around.walk_to_end(model, images, target, statistics, max_batch_size)
