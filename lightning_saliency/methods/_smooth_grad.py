"""Gradients over noisy copies of an image: their mean, mean square and variance."""

from dataclasses import dataclass

from torch import Tensor

from lightning_saliency._checks import check_integer
from lightning_saliency._types import Images, Maps
from lightning_saliency.methods._aggregation import Aggregation, aggregate, check_aggregation, readings_of
from lightning_saliency.methods._noise import check_noise
from lightning_saliency.methods._stream_method import StreamMethod
from lightning_saliency.passes.guides import Guide
from lightning_saliency.passes.points import Noise
from lightning_saliency.passes.statistics import Mean, MeanSquare, Variance
from lightning_saliency.passes.stream import Reading


@dataclass(frozen=True)
class SmoothGrad(StreamMethod):
    """Magnitude of the mean gradient over noisy copies of the image, summed over channels.

    Maps are in units of logit per unit of normalised input. Cost: `num_samples` forwards and backwards per
    image, shared with every method of equal noise.

    Args:
        num_samples: Number of noisy copies.
        noise_level: Standard deviation of the noise in units of the image's own range (maximum - minimum).
        seed: Seed of the noise, which is the same for every image.
        aggregation: Which part of each gradient is averaged: `"signed"`, `"positive"`, `"negative"` or
            `"absolute"`.
        guide: Weight of features whose gradients vary little, as in `GuidedAbsoluteGrad`; `None` for 1.
        percentile: Quantile of the variance in [0, 1) above which a feature counts fully; 0 is no guide.
        name: Key in results and logs.

    Raises:
        ValueError: If `num_samples` is less than 1 or `noise_level` is negative, a choice is unknown, or a
            guide is set with fewer than 2 samples.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, -3.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]))
        >>> SmoothGrad(num_samples=4)(model, torch.rand(1, 1, 2, 2), torch.tensor([0]))
        tensor([[[1., 3.],
                 [0., 2.]]])

    References:
        Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017. https://arxiv.org/abs/1706.03825
    """

    num_samples: int = 20
    noise_level: float = 0.15
    seed: int = 0
    aggregation: Aggregation = "signed"
    guide: Guide | None = None
    percentile: float = 0.85
    name: str = "smooth_grad"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_noise(self.num_samples, self.noise_level, self.seed)
        check_aggregation(self.aggregation, self.guide, self.percentile, self.num_samples, "num_samples")

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The mean gradient around the image."""
        noise = Noise(self.num_samples, float(self.noise_level), self.seed)
        return readings_of(noise, Mean(self.aggregation), self.guide, self.percentile)

    def formula(self, images: Images, *values: Tensor) -> Maps:
        """Guide, and sum the channels' magnitudes."""
        return aggregate(values, self.guide, self.percentile)


@dataclass(frozen=True)
class SquareGrad(StreamMethod):
    """Mean squared gradient over noisy copies of the image, summed over channels.

    Maps are in units of squared logit per squared unit of normalised input. Cost: `num_samples` forwards and
    backwards per image, shared with every method of equal noise.

    Args:
        num_samples: Number of noisy copies.
        noise_level: Standard deviation of the noise in units of the image's own range (maximum - minimum).
        seed: Seed of the noise, which is the same for every image.
        aggregation: Which part of each gradient is squared: `"signed"` and `"absolute"` are the same.
        guide: Weight of features whose gradients vary little, as in `GuidedAbsoluteGrad`; `None` for 1.
        percentile: Quantile of the variance in [0, 1) above which a feature counts fully; 0 is no guide.
        name: Key in results and logs.

    Raises:
        ValueError: If `num_samples` is less than 1 or `noise_level` is negative, a choice is unknown, or a
            guide is set with fewer than 2 samples.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, -3.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]))
        >>> SquareGrad(num_samples=4)(model, torch.rand(1, 1, 2, 2), torch.tensor([0]))
        tensor([[[1., 9.],
                 [0., 4.]]])

    References:
        Hooker et al., "A Benchmark for Interpretability Methods", 2019. https://arxiv.org/abs/1806.10758
    """

    num_samples: int = 20
    noise_level: float = 0.15
    seed: int = 0
    aggregation: Aggregation = "signed"
    guide: Guide | None = None
    percentile: float = 0.85
    name: str = "square_grad"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_noise(self.num_samples, self.noise_level, self.seed)
        check_aggregation(self.aggregation, self.guide, self.percentile, self.num_samples, "num_samples")

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The mean square around the image."""
        noise = Noise(self.num_samples, float(self.noise_level), self.seed)
        return readings_of(noise, MeanSquare(self.aggregation), self.guide, self.percentile)

    def formula(self, images: Images, *values: Tensor) -> Maps:
        """Guide, and sum the channels."""
        return aggregate(values, self.guide, self.percentile)


@dataclass(frozen=True)
class VarGrad(StreamMethod):
    """Unbiased variance of the gradient over noisy copies of the image, summed over channels.

    An affine model's gradient does not vary, and its map is zero. Maps are in units of squared logit per
    squared unit of normalised input. Cost: `num_samples` forwards and backwards per image, shared with every
    method of equal noise.

    Args:
        num_samples: Number of noisy copies, at least 2.
        noise_level: Standard deviation of the noise in units of the image's own range (maximum - minimum).
        seed: Seed of the noise, which is the same for every image.
        aggregation: Part of each gradient whose variance is computed: `"signed"`, `"positive"`,
            `"negative"` or `"absolute"`.
        guide: Weight of features whose gradients vary little, as in `GuidedAbsoluteGrad`; `None` for 1.
        percentile: Quantile of the variance in [0, 1) above which a feature counts fully; 0 is no guide.
        name: Key in results and logs.

    Raises:
        ValueError: If `num_samples` is less than 2 or `noise_level` is negative, or a choice is unknown.

    Example:
        >>> import torch
        >>> def model(images):
        ...     squares = images.flatten(1).square().sum(dim=1)
        ...     return torch.stack([squares, -squares], dim=1)
        >>> maps = VarGrad(num_samples=200)(model, torch.linspace(0, 1, 4).reshape(1, 1, 2, 2), torch.tensor([0]))
        >>> bool(((maps.sqrt() - 2 * 0.15).abs() < 0.05).all())
        True

    References:
        Adebayo et al., "Sanity Checks for Saliency Maps", 2018. https://arxiv.org/abs/1810.03292
    """

    num_samples: int = 20
    noise_level: float = 0.15
    seed: int = 0
    aggregation: Aggregation = "signed"
    guide: Guide | None = None
    percentile: float = 0.85
    name: str = "var_grad"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_noise(self.num_samples, self.noise_level, self.seed)
        check_integer("num_samples", self.num_samples, minimum=2)
        check_aggregation(self.aggregation, self.guide, self.percentile, self.num_samples, "num_samples")

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The variance around the image."""
        noise = Noise(self.num_samples, float(self.noise_level), self.seed)
        return readings_of(noise, Variance(self.aggregation), self.guide, self.percentile)

    def formula(self, images: Images, *values: Tensor) -> Maps:
        """Guide, and sum the channels."""
        return aggregate(values, self.guide, self.percentile)
