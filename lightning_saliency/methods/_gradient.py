"""The plain input gradient."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from lightning_saliency._checks import check_choice
from lightning_saliency._types import Images, Maps
from lightning_saliency.methods._stream_method import StreamMethod
from lightning_saliency.passes.points import Clean
from lightning_saliency.passes.statistics import Mean
from lightning_saliency.passes.stream import Reading

Reduce = Literal["max_abs", "sum_abs"]


@dataclass(frozen=True)
class Gradient(StreamMethod):
    """Magnitude of the target logit's gradient with respect to the image.

    Maps are in units of logit per unit of normalised input. Cost: one forward and one backward per image.

    Args:
        reduce: How channels become one value: their largest or their summed magnitude.
        name: Key in results and logs.

    Raises:
        ValueError: If `reduce` is unknown.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, -3.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]))
        >>> Gradient()(model, torch.ones(1, 1, 2, 2), torch.tensor([0]))
        tensor([[[1., 3.],
                 [0., 2.]]])

    References:
        Simonyan et al., "Deep Inside Convolutional Networks", 2014. https://arxiv.org/abs/1312.6034
    """

    reduce: Reduce = "max_abs"
    name: str = "gradient"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_choice("reduce", self.reduce, ("max_abs", "sum_abs"))

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The gradient at the image."""
        return (Reading(Clean(), Mean()),)

    def formula(self, images: Images, gradient: Tensor) -> Maps:
        """Reduce channels."""
        magnitude = gradient.abs()
        return magnitude.amax(dim=1) if self.reduce == "max_abs" else magnitude.sum(dim=1)
