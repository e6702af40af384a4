"""Guided AbsoluteGrad: magnitudes of noisy gradients, guided by their variance."""

from dataclasses import dataclass

from torch import Tensor

from lightning_saliency._checks import check_flag
from lightning_saliency._types import Images, Maps
from lightning_saliency.methods._aggregation import aggregate, check_aggregation, readings_of
from lightning_saliency.methods._noise import check_noise
from lightning_saliency.methods._stream_method import StreamMethod
from lightning_saliency.passes.guides import Guide
from lightning_saliency.passes.points import Noise
from lightning_saliency.passes.statistics import Mean
from lightning_saliency.passes.stream import Reading


@dataclass(frozen=True)
class GuidedAbsoluteGrad(StreamMethod):
    """Summed magnitudes of noisy gradients, kept in full only where the gradients vary most.

    Where the variance of the signed gradients exceeds its `percentile` (per image and channel) a feature counts fully;
    elsewhere it is weighted by that variance, as in the official code. Since gradients of a logit mostly have a
    variance far below 1, this is almost a mask. The weight depends on the scale of the logits, and amplifies where the
    variance exceeds 1; with `guide="relative"` it does not depend on the scale. On an affine model no gradient varies
    and the guided map is zero.

    Maps are sums over the samples, in units of logit per unit of normalised input. Cost: `num_samples`
    forwards and backwards per image, shared with every method of equal noise.

    Args:
        num_samples: Number of noisy copies.
        noise_level: Standard deviation of the noise in units of the image's own range (the official code
            uses the range of the full batch, which makes a map depend on the image's neighbours).
        percentile: Quantile of the variance in [0, 1) above which a feature counts fully; `None` or 0 is
            AbsoluteGrad, without a guide.
        seed: Seed of the noise, which is the same for every image.
        guide: Weight of a feature that does not exceed the quantile: `"official"` its variance, `"mask"`
            zero, `"relative"` its variance in units of the quantile; `None` gives all features the same weight.
        magnitude: Whether magnitudes are summed; otherwise the gradients' signed sum is guided.
        name: Key in results and logs.

    Raises:
        ValueError: If `percentile` is outside [0, 1), `guide` is unknown, or a guide is set with fewer
            than 2 samples.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, -3.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]))
        >>> GuidedAbsoluteGrad(num_samples=4, percentile=None)(model, torch.rand(1, 1, 2, 2), torch.tensor([0]))
        tensor([[[ 4., 12.],
                 [ 0.,  8.]]])

    References:
        Huang and Liu, "Guided AbsoluteGrad", 2024. https://arxiv.org/abs/2404.15564
    """

    num_samples: int = 20
    noise_level: float = 0.15
    percentile: float | None = 0.85
    seed: int = 0
    guide: Guide | None = "official"
    magnitude: bool = True
    name: str = "guided_absolute_grad"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_noise(self.num_samples, self.noise_level, self.seed)
        check_flag("magnitude", self.magnitude)
        check_aggregation("signed", self.guide, self.percentile, self.num_samples, "num_samples")

    @property
    def readings(self) -> tuple[Reading, ...]:
        """Mean magnitude and variance of the gradients around the image."""
        noise = Noise(self.num_samples, float(self.noise_level), self.seed)
        return readings_of(noise, Mean("absolute" if self.magnitude else "signed"), self.guide, self.percentile)

    def formula(self, images: Images, *values: Tensor) -> Maps:
        """Multiply the sums by the guide and sum the channels."""
        return self.num_samples * aggregate(values, self.guide, self.percentile)
