"""Gradient-weighted class activation maps."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from lightning_saliency._types import Maps
from lightning_saliency.methods._layer_method import GradientCAM, Pooled, channel_means, check_pooled


@dataclass(frozen=True)
class GradCAM(GradientCAM):
    """Positive part of a layer's activation, its channels weighted by the mean gradient of the target's logit.

    Cost: one forward and one backward per image, shared with every method at the clean image; with
    `layer=None` also one forward and one backward of a single image to find the layer.

    Args:
        layer: Name of the layer as in `model.named_modules()`, or the end of a name. `None` finds the last layer whose
            positions still influence the logits: for convolutional networks the layer before global pooling, for
            vision transformers the last block's first norm. With several names their maps are averaged.
        aggregation: Which part of the gradient is averaged over positions: `"signed"`, `"positive"` or
            `"absolute"`. `"positive"` and `"absolute"` maps are nearly the same for every class: see
            `ClassSensitivity`.
        call: Which of the layer's calls is read, where a forward runs it more than once, as with several views of an
            image: 0 is the first, -1 the last one. Only calls whose output has positions count, and for `layer=None`
            only those up to the last one that influences the logits.
        name: Key in results and logs.

    Raises:
        TypeError: If `layer` is neither a name nor a list of names.
        ValueError: If the layer is unknown, or there is none; the message lists candidates.

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
        Khakzar et al., "Rethinking Positive Aggregation and Propagation of Gradients in Gradient-based
        Saliency Methods", 2020, on positive aggregation. https://arxiv.org/abs/2012.00362
    """

    layer: str | Sequence[str] | None = None
    aggregation: Pooled = "signed"
    call: int = field(default=-1, kw_only=True)
    name: str = "grad_cam"

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        check_pooled(self.aggregation)

    def cam(self, activation: Tensor, gradient: Tensor) -> Maps:
        """Weight channels and rectify."""
        return (channel_means(gradient, self.aggregation) * activation).sum(dim=1).relu()
