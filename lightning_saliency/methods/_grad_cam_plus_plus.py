"""Class activation maps whose weights use higher derivatives: Grad-CAM++ and its smooth form."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lightning_saliency._types import Maps
from lightning_saliency.methods._layer_method import (
    GradientCAM,
    LayerMethod,
    Pooled,
    Quantity,
    check_pooled,
    positions,
)
from lightning_saliency.methods._noise import check_noise
from lightning_saliency.passes.layers import LayerName
from lightning_saliency.passes.points import Clean, Noise
from lightning_saliency.passes.statistics import Activation, Mean, MeanCube, MeanSquare, part_of


@dataclass(frozen=True)
class GradCAMPlusPlus(GradientCAM):
    """Grad-CAM whose channel weights are sums of positive gradients, weighted by higher derivatives in closed form.

    A gradient G at a channel whose activations sum to S counts with 1 / (2 + S |G|), which is the paper's
    G^2 / (2 G^2 + S G^3) for positive G. Where a layer has negative activations that sum below zero, S counts
    as zero, since the paper's weight has a pole there. Cost: one forward and one backward per image, shared
    with every method at the clean image.

    Args:
        layer: Name of the layer, several names, or `None`, as in `GradCAM`.
        aggregation: Which part of the gradients is summed: `"positive"`, the paper's; `"signed"` or `"absolute"`.
        call: Which of the layer's calls, as in `GradCAM`.
        name: Key in results and logs.

    Raises:
        TypeError: If `layer` is neither a name nor a list of names.
        ValueError: If the layer is unknown, or there is none; the message lists candidates.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.Flatten(), torch.nn.Linear(4, 2))
        >>> for parameter in model.parameters():
        ...     _ = torch.nn.init.ones_(parameter)
        >>> GradCAMPlusPlus()(model, torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]]), torch.tensor([0])) * 12 / 4
        tensor([[[1., 2.],
                 [3., 4.]]])

    References:
        Chattopadhay et al., "Grad-CAM++", 2018. https://arxiv.org/abs/1710.11063
    """

    layer: str | Sequence[str] | None = None
    aggregation: Pooled = "positive"
    call: int = field(default=-1, kw_only=True)
    name: str = "grad_cam_plus_plus"

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        check_pooled(self.aggregation)

    def cam(self, activation: Tensor, gradient: Tensor) -> Maps:
        """Weight gradients, sum them to channel weights, rectify."""
        space = positions(gradient)
        shares = 1 / (2 + _sums(activation) * gradient.abs())
        weights = (shares * part_of(gradient, self.aggregation)).sum(dim=space, keepdim=True)
        return (weights * activation).sum(dim=1).relu()


@dataclass(frozen=True)
class SmoothGradCAMPlusPlus(LayerMethod):
    """Grad-CAM++ whose gradient, and its second and third power, are means over noisy copies of the image.

    The activation is the clean image's. Without noise it is Grad-CAM++. Cost: `num_samples` forwards and
    backwards per image, shared with every method of equal noise.

    Args:
        layer: Name of the layer, several names, or `None`, as in `GradCAM`.
        num_samples: Number of noisy copies.
        noise_level: Standard deviation of the noise in units of the image's own range (maximum - minimum).
        seed: Seed of the noise, which is the same for every image.
        aggregation: Which part of the mean gradients is summed: `"positive"`, the paper's; `"signed"` or `"absolute"`.
        call: Which of the layer's calls, as in `GradCAM`.
        name: Key in results and logs.

    Raises:
        TypeError: If `layer` is neither a name nor a list of names.
        ValueError: If a number is out of range, or the layer is unknown, or there is none.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.Flatten(), torch.nn.Linear(4, 2))
        >>> images, targets = torch.rand(1, 1, 2, 2), torch.tensor([0])
        >>> smooth = SmoothGradCAMPlusPlus(noise_level=0)(model, images, targets)
        >>> torch.allclose(smooth, GradCAMPlusPlus()(model, images, targets))
        True

    References:
        Omeiza et al., "Smooth Grad-CAM++", 2019. https://arxiv.org/abs/1908.01224
    """

    layer: str | Sequence[str] | None = None
    num_samples: int = 20
    noise_level: float = 0.15
    seed: int = 0
    aggregation: Pooled = "positive"
    call: int = field(default=-1, kw_only=True)
    name: str = "smooth_grad_cam_plus_plus"

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        check_noise(self.num_samples, self.noise_level, self.seed)
        check_pooled(self.aggregation)

    def quantities(self, layer: LayerName) -> tuple[Quantity, ...]:
        """The clean activation, and means of the noisy gradients' powers."""
        noise = Noise(self.num_samples, float(self.noise_level), self.seed)
        return (Clean(), Activation()), (noise, Mean()), (noise, MeanSquare()), (noise, MeanCube())

    def cam(self, activation: Tensor, gradient: Tensor, square: Tensor, cube: Tensor) -> Maps:
        """Weight mean gradients, sum them to channel weights, rectify."""
        below = 2 * square + _sums(activation) * cube.abs()
        shares = torch.where(square > 0, square / torch.where(below > 0, below, 1.0), 0.0)
        weights = (shares * part_of(gradient, self.aggregation)).sum(dim=positions(gradient), keepdim=True)
        return (weights * activation).sum(dim=1).relu()


def _sums(activation: Tensor) -> Tensor:
    return activation.sum(dim=positions(activation), keepdim=True).clamp(min=0)
