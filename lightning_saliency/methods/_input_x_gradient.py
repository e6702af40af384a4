"""The image times its gradient."""

from dataclasses import dataclass

from torch import Tensor

from lightning_saliency._checks import check_flag
from lightning_saliency._types import Images, Maps
from lightning_saliency.methods._stream_method import CompleteMethod
from lightning_saliency.passes.points import Clean
from lightning_saliency.passes.statistics import Mean
from lightning_saliency.passes.stream import Reading


@dataclass(frozen=True)
class InputXGradient(CompleteMethod):
    """The image times the target logit's gradient: on a linear model, what each pixel adds to the logit.

    `attribute` gives the product itself, complete for models without bias that are linear along the ray
    through the image. Maps are in units of logit; they depend on the position of zero in the normalised input. Cost:
    one forward and one backward per image, shared with every method at the clean image.

    Args:
        signed: Whether channels are summed with their signs; otherwise their magnitudes are summed.
        name: Key in results and logs.

    Raises:
        TypeError: If `signed` is no flag.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, -3.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]))
        >>> InputXGradient(signed=True)(model, torch.full((1, 1, 2, 2), 0.5), torch.tensor([0]))
        tensor([[[ 0.5000, -1.5000],
                 [ 0.0000,  1.0000]]])

    References:
        Shrikumar et al., "Not Just a Black Box", 2016. https://arxiv.org/abs/1605.01713
    """

    signed: bool = False
    name: str = "input_x_gradient"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_flag("signed", self.signed)

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The gradient at the image."""
        return (self.contribution,)

    @property
    def contribution(self) -> Reading:
        """The gradient at the image."""
        return Reading(Clean(), Mean())

    def attribution(self, images: Images, contribution: Tensor) -> Tensor:
        """Multiply by the image."""
        return images * contribution

    def formula(self, images: Images, gradient: Tensor) -> Maps:
        """Multiply by the image and sum the channels."""
        product = self.attribution(images, gradient)
        return product.sum(dim=1) if self.signed else product.abs().sum(dim=1)
