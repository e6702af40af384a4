"""Class activation maps that weight every position by its gradient."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from lightning_saliency._types import Maps
from lightning_saliency.methods._layer_method import GradientCAM


@dataclass(frozen=True)
class LayerCAM(GradientCAM):
    """A layer's activation times the positive part of its gradient, position by position, summed over channels.

    Cost: one forward and one backward per image, shared with every method at the clean image.

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
        >>> LayerCAM()(model, torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]]), torch.tensor([0]))
        tensor([[[1., 2.],
                 [3., 4.]]])

    References:
        Jiang et al., "LayerCAM", 2021. https://doi.org/10.1109/TIP.2021.3089943
    """

    layer: str | Sequence[str] | None = None
    call: int = field(default=-1, kw_only=True)
    name: str = "layer_cam"

    def cam(self, activation: Tensor, gradient: Tensor) -> Maps:
        """Weight positions by positive gradients and rectify."""
        return (gradient.relu() * activation).sum(dim=1).relu()


@dataclass(frozen=True)
class HiResCAM(GradientCAM):
    """Positive part of a layer's activation times its gradient, position by position, summed over channels.

    Before average pooling and one linear layer it equals Grad-CAM up to upsampling. Cost: one forward and one
    backward per image, shared with every method at the clean image.

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
        >>> HiResCAM()(model, torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]]), torch.tensor([0]))
        tensor([[[1., 2.],
                 [3., 4.]]])

    References:
        Draelos and Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural
        networks", 2020. https://arxiv.org/abs/2011.08891
    """

    layer: str | Sequence[str] | None = None
    call: int = field(default=-1, kw_only=True)
    name: str = "hi_res_cam"

    def cam(self, activation: Tensor, gradient: Tensor) -> Maps:
        """Weight positions by gradients and rectify."""
        return (gradient * activation).sum(dim=1).relu()
