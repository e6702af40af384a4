"""Guided AbsoluteGrad: magnitudes of noisy gradients, guided by their variance."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_saliency._checks import check_fraction
from lightning_saliency._types import Images, Maps
from lightning_saliency.methods._noise import check_noise
from lightning_saliency.methods._stream_method import StreamMethod
from lightning_saliency.passes.points import Noise
from lightning_saliency.passes.statistics import MeanMagnitude, Variance
from lightning_saliency.passes.stream import Reading


@dataclass(frozen=True)
class GuidedAbsoluteGrad(StreamMethod):
    """Summed magnitudes of noisy gradients, kept in full only where the gradients vary most.

    Where the variance of the signed gradients exceeds its `percentile` (per image and channel) a feature
    counts fully; elsewhere it is weighted by that variance, as in the official code. Since gradients of a
    logit mostly have a variance far below 1, this is almost a mask; the weight is not scale-free, and
    where the variance exceeds 1 it amplifies. On an affine model no gradient varies and the map is zero.

    Maps are sums over the samples, in units of logit per unit of normalised input. Cost: `num_samples`
    forwards and backwards per image, shared with every method of equal noise.

    Args:
        num_samples: Number of noisy copies.
        noise_level: Standard deviation of the noise in units of the image's own range (the official code
            takes the range of the whole batch, which makes a map depend on the image's neighbours).
        percentile: Quantile of the variance in [0, 1) above which a feature counts fully; `None` or 0 is
            AbsoluteGrad, without a guide.
        seed: Seed of the noise, which is the same for every image.
        name: Key in results and logs.

    Raises:
        ValueError: If `percentile` is outside [0, 1), or a guide is wanted from fewer than 2 samples.

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
    name: str = "guided_absolute_grad"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_noise(self.num_samples, self.noise_level, self.seed)
        if self.percentile is not None:
            check_fraction("percentile", self.percentile)
        if self.percentile and self.num_samples < 2:
            raise ValueError(
                "Expected `num_samples` to be at least 2, since one gradient has no variance to guide by, "
                f"but got {self.num_samples}: take more samples, or `percentile=None`."
            )

    @property
    def readings(self) -> tuple[Reading, ...]:
        """Mean magnitude and variance of the gradients around the image."""
        noise = Noise(self.num_samples, self.noise_level, self.seed)
        magnitude = Reading(noise, MeanMagnitude())
        return (magnitude, Reading(noise, Variance())) if self.percentile else (magnitude,)

    def formula(self, images: Images, magnitude: Tensor, variance: Tensor | None = None) -> Maps:
        """Weight the summed magnitudes by the guide and sum the channels."""
        total = magnitude * self.num_samples
        if variance is not None and self.percentile is not None:
            total = total * variance_guide(variance, self.percentile)
        return total.sum(dim=1)


def variance_guide(variance: Tensor, percentile: float) -> Tensor:
    """Weigh features: 1 where the variance (B, C, *S) exceeds its quantile over space, else the variance."""
    threshold = spatial_quantile(variance, percentile)
    return torch.where(variance > threshold, 1.0, variance)


def spatial_quantile(values: Tensor, fraction: float) -> Tensor:
    """Take a linearly interpolated quantile over space, (B, C, *S) -> (B, C, 1...).

    Unlike `torch.quantile` it has no limit on the number of elements.
    """
    ascending = values.flatten(2).sort(dim=2).values
    position = fraction * (ascending.shape[2] - 1)
    below = int(position)
    above = min(below + 1, ascending.shape[2] - 1)
    quantile = torch.lerp(ascending[..., below], ascending[..., above], position - below)
    return quantile.reshape(*quantile.shape, *[1] * (values.ndim - 2))
