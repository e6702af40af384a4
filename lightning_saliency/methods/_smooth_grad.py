"""The gradient averaged over noisy copies of the image."""

from dataclasses import dataclass

from torch import Tensor

from lightning_saliency._types import Images, Maps
from lightning_saliency.methods._noise import check_noise
from lightning_saliency.methods._stream_method import StreamMethod
from lightning_saliency.passes.points import Noise
from lightning_saliency.passes.statistics import Mean
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
        name: Key in results and logs.

    Raises:
        ValueError: If `num_samples` is less than 1 or `noise_level` is negative.

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
    name: str = "smooth_grad"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_noise(self.num_samples, self.noise_level, self.seed)

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The mean gradient around the image."""
        return (Reading(Noise(self.num_samples, self.noise_level, self.seed), Mean()),)

    def formula(self, images: Images, gradient: Tensor) -> Maps:
        """Sum the channels' magnitudes."""
        return gradient.abs().sum(dim=1)
