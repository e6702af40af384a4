"""The first principal component of a layer's activation, whatever the class."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lightning_saliency._exact import exact
from lightning_saliency._types import Maps
from lightning_saliency.methods._layer_method import LayerMethod, Quantity
from lightning_saliency.passes.layers import LayerName
from lightning_saliency.passes.points import Clean
from lightning_saliency.passes.statistics import Activation


@dataclass(frozen=True)
class EigenCAM(LayerMethod):
    """Positive part of a layer's activation projected on its first right singular vector.

    The activation of positions by channels is not centred, as in the paper. The sign of a singular vector is
    arbitrary. It is chosen so that the projection sums to at least zero over positions, which gives a layer after a
    ReLU a map without negative values; where the sum is zero, so that the first of the largest magnitudes is
    positive. The map does not depend on the target: `ClassSensitivity` is 1. Cost: one forward and one backward per
    image, shared with every method at the clean image, and a small decomposition.

    Args:
        layer: Name of the layer, several names, or `None`, as in `GradCAM`.
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
        >>> EigenCAM()(model, torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]]), torch.tensor([0]))
        tensor([[[1., 2.],
                 [3., 4.]]])

    References:
        Muhammad and Yeasin, "Eigen-CAM", 2020. https://arxiv.org/abs/2008.00299
    """

    layer: str | Sequence[str] | None = None
    call: int = field(default=-1, kw_only=True)
    name: str = "eigen_cam"

    def quantities(self, layer: LayerName) -> tuple[Quantity, ...]:
        """The layer's activation at the image."""
        return ((Clean(), Activation()),)

    def cam(self, activation: Tensor) -> Maps:
        """Project each image's activation on its first direction and rectify."""
        projected = torch.stack([_first_component(image) for image in activation])
        return projected.relu().to(activation.dtype)


def _first_component(activation: Tensor) -> Tensor:
    """Project (K, *grid) on the direction that explains most, in double precision, since gaps may be small."""
    # The decomposition refuses numbers that are not finite. The map of such an image is invalid, others are not.
    is_finite = activation.isfinite().all()
    by_position = exact(torch.where(is_finite, activation, 0.0)).flatten(1).T
    left, scale, _ = torch.linalg.svd(by_position, full_matrices=False)
    component = left[:, 0] * scale[0]
    total = component.sum()
    size = component.abs()
    # `argmax` returns the first of several, and `take` reads nothing from the device.
    first = component.take((size >= (1 - 1e-9) * size.amax()).byte().argmax())
    # The sign of a sum of rounding errors means nothing.
    sign = torch.where(total.abs() <= 1e-9 * size.sum(), first, total)
    signed: Tensor = torch.where(is_finite, component * torch.where(sign < 0, -1.0, 1.0), torch.nan)
    return signed.reshape(activation.shape[1:])
