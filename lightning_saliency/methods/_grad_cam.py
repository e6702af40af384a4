"""Gradient-weighted class activation maps."""

from dataclasses import dataclass

from torch import Tensor

from lightning_saliency._types import Images, Maps
from lightning_saliency.methods._stream_method import StreamMethod
from lightning_saliency.methods._upsampling import upsample
from lightning_saliency.passes.layers import LAST_SPATIAL
from lightning_saliency.passes.points import Clean
from lightning_saliency.passes.statistics import Activation, Mean
from lightning_saliency.passes.stream import Reading


@dataclass(frozen=True)
class GradCAM(StreamMethod):
    """Positive part of a layer's activation, its channels weighted by the mean gradient of the target's logit.

    Cost: one forward and one backward per image, shared with every method at the clean image; with
    `layer=None` also one forward and one backward of a single image to find the layer.

    Args:
        layer: Name of the layer as in `model.named_modules()`, or the end of a name. `None` finds the last
            layer whose positions still influence the logits: for convolutional networks what enters global
            pooling, for vision transformers the last block's first norm.
        name: Key in results and logs.

    Raises:
        ValueError: If the layer is unknown, or none is found; the message lists candidates.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.Flatten(), torch.nn.Linear(4, 2))
        >>> for parameter in model.parameters():
        ...     _ = torch.nn.init.ones_(parameter)
        >>> GradCAM()(model, torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]]), torch.tensor([0]))
        tensor([[[1., 2.],
                 [3., 4.]]])

    References:
        Selvaraju et al., "Grad-CAM", 2017. https://arxiv.org/abs/1610.02391
    """

    layer: str | None = None
    name: str = "grad_cam"

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The layer's activation and gradient at the image."""
        layer = LAST_SPATIAL if self.layer is None else self.layer
        return Reading(Clean(), Activation(), layer), Reading(Clean(), Mean(), layer)

    def formula(self, images: Images, activation: Tensor, gradient: Tensor) -> Maps:
        """Weigh channels, rectify, upsample."""
        positions = tuple(range(2, gradient.ndim))
        weights = gradient.mean(dim=positions, keepdim=True)
        return upsample((weights * activation).sum(dim=1).relu(), images)
