"""The two signs of the gradient: pixels that raise the logit when brightened, and pixels that lower it."""

from dataclasses import dataclass

from torch import Tensor

from lightning_saliency._types import Images, Maps
from lightning_saliency.methods._stream_method import StreamMethod
from lightning_saliency.passes.points import Clean
from lightning_saliency.passes.statistics import Mean
from lightning_saliency.passes.stream import Reading


@dataclass(frozen=True)
class PositiveGradient(StreamMethod):
    """Positive part of the target logit's gradient, its largest over channels: brightening raises the logit.

    Before normalisation the plain gradient is the larger of the positive and the negative map. Maps are in
    units of logit per unit of normalised input. Cost: one forward and one backward per image, shared with
    every method at the clean image.

    Args:
        name: Key in results and logs.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, -3.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]))
        >>> PositiveGradient()(model, torch.ones(1, 1, 2, 2), torch.tensor([0]))
        tensor([[[1., 0.],
                 [0., 2.]]])

    References:
        Llorente et al., "A matter of attitude", 2023. https://arxiv.org/abs/2309.12913
    """

    name: str = "positive_gradient"

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The gradient at the image."""
        return (Reading(Clean(), Mean()),)

    def formula(self, images: Images, gradient: Tensor) -> Maps:
        """Rectify and take the largest channel."""
        return gradient.relu().amax(dim=1)


@dataclass(frozen=True)
class NegativeGradient(StreamMethod):
    """Magnitude of the gradient's negative part, its largest over channels: darkening raises the logit.

    Maps are in units of logit per unit of normalised input. Cost: one forward and one backward per image,
    shared with every method at the clean image.

    Args:
        name: Key in results and logs.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, -3.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]))
        >>> NegativeGradient()(model, torch.ones(1, 1, 2, 2), torch.tensor([0]))
        tensor([[[0., 3.],
                 [0., 0.]]])

    References:
        Llorente et al., "A matter of attitude", 2023. https://arxiv.org/abs/2309.12913
    """

    name: str = "negative_gradient"

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The gradient at the image."""
        return (Reading(Clean(), Mean()),)

    def formula(self, images: Images, gradient: Tensor) -> Maps:
        """Keep the negative part and take the largest channel."""
        return gradient.clamp(max=0).abs().amax(dim=1)
