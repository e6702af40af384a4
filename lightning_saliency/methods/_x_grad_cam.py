"""Class activation maps whose channel weights are gradients averaged where the channel is active."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lightning_saliency._types import Maps
from lightning_saliency.methods._layer_method import GradientCAM, Pooled, check_pooled, positions
from lightning_saliency.passes.statistics import part_of


@dataclass(frozen=True)
class XGradCAM(GradientCAM):
    """Grad-CAM whose channel weights are gradients averaged in proportion to the channel's activation.

    Use it at layers after a ReLU: where activations of both signs cancel, weights grow without bound. A
    channel whose activations sum to zero has weight zero. Cost: one forward and one backward per image,
    shared with every method at the clean image.

    Args:
        layer: Name of the layer, several names, or `None`, as in `GradCAM`.
        aggregation: Which part of the gradient is averaged: `"signed"`, the paper's; `"positive"` or `"absolute"`.
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
        >>> XGradCAM()(model, torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]]), torch.tensor([0]))
        tensor([[[1., 2.],
                 [3., 4.]]])

    References:
        Fu et al., "Axiom-based Grad-CAM", 2020. https://arxiv.org/abs/2008.02312
    """

    layer: str | Sequence[str] | None = None
    aggregation: Pooled = "signed"
    call: int = field(default=-1, kw_only=True)
    name: str = "x_grad_cam"

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        check_pooled(self.aggregation)

    def cam(self, activation: Tensor, gradient: Tensor) -> Maps:
        """Average gradients by activation, weight channels, rectify."""
        space = positions(gradient)
        total = activation.sum(dim=space, keepdim=True)
        weighted = (part_of(gradient, self.aggregation) * activation).sum(dim=space, keepdim=True)
        weights = torch.where(total == 0, 0.0, weighted / torch.where(total == 0, 1.0, total))
        return (weights * activation).sum(dim=1).relu()
