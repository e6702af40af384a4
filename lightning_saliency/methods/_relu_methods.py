"""Maps of what flows back when ReLUs pass other signals than the gradient."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lightning_saliency._checks import check_flag, check_fraction
from lightning_saliency._types import Images, Maps
from lightning_saliency.methods._stream_method import StreamMethod
from lightning_saliency.passes.propagation import Ruled
from lightning_saliency.passes.relu_rules import ReluRule
from lightning_saliency.passes.statistics import Mean
from lightning_saliency.passes.stream import Reading


class ReluMethod(StreamMethod):
    """A method that only declares what passes a ReLU; subclasses are frozen dataclasses."""

    watches_operations: ClassVar[bool] = True

    @property
    @abstractmethod
    def rule(self) -> ReluRule:
        """The rule for what passes a ReLU."""

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The signal that arrives at the image."""
        return (Reading(Ruled(self.rule), Mean()),)

    def formula(self, images: Images, signal: Tensor) -> Maps:
        """Take the largest magnitude over channels."""
        return signal.abs().amax(dim=1)


@dataclass(frozen=True)
class GuidedBackprop(ReluMethod):
    """Largest magnitude over channels of a gradient of which only the positive part passes ReLUs.

    Signals pass where both the activation and the signal are positive. The maps are sharp and hardly depend on the
    class or the parameters: see `ClassSensitivity` and `ParameterRandomization`. The rule applies to ReLUs in modules
    and in functions, in place or not, and to clipped ones (ReLU6, hard-tanh, a clamp from 0), where nothing passes
    units that are cut off. At a leaky ReLU positive signals pass times its slope. Other activations keep their
    gradient. Cost: one forward and one backward per image.

    Args:
        name: Key in results and logs.

    Raises:
        ValueError: When called, if the model has no ReLU, since the map would be the plain gradient.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = model[2].weight.data.copy_(torch.tensor([[1.0, -3.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]))
        >>> GuidedBackprop()(model, torch.ones(1, 1, 2, 2), torch.tensor([0]))
        tensor([[[1., 0.],
                 [0., 2.]]])

    References:
        Springenberg et al., "Striving for Simplicity", 2015. https://arxiv.org/abs/1412.6806
    """

    name: str = "guided_backprop"

    @property
    def rule(self) -> ReluRule:
        """Positive signals at positive activations."""
        return ReluRule("guided")


@dataclass(frozen=True)
class Deconvolution(ReluMethod):
    """Largest magnitude over channels of a signal that passes ReLUs where it is positive, whatever the activation.

    The rule applies to ReLUs in modules and in functions, as in `GuidedBackprop`. Cost: one forward and
    one backward per image.

    Args:
        name: Key in results and logs.

    Raises:
        ValueError: When called, if the model has no ReLU, since the map would be the plain gradient.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = model[2].weight.data.copy_(torch.tensor([[1.0, -3.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]))
        >>> Deconvolution()(model, -torch.ones(1, 1, 2, 2), torch.tensor([0]))
        tensor([[[1., 0.],
                 [0., 2.]]])

    References:
        Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014.
        https://arxiv.org/abs/1311.2901
    """

    name: str = "deconvolution"

    @property
    def rule(self) -> ReluRule:
        """Positive signals."""
        return ReluRule("deconvolution")


@dataclass(frozen=True)
class RectGrad(ReluMethod):
    """Magnitude, summed over channels, of the image times a gradient of which only the important part passes ReLUs.

    At each ReLU a signal passes where activation times signal exceeds its quantile over the image's layer,
    mostly where it is positive. With `magnitude` the signal counts by its magnitude, so that negative signals pass as
    well (RectGradAbs). The rule applies to ReLUs in modules and in functions, as in `GuidedBackprop`. Cost: one
    forward and one backward per image.

    Args:
        percentile: Quantile in [0, 1); with the authors' 0.98, 2 % of each layer pass.
        magnitude: Whether signals count by their magnitude.
        name: Key in results and logs.

    Raises:
        ValueError: If `percentile` does not lie in [0, 1); when called, if the model has no ReLU, since
            the map would be that of the plain gradient.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = model[2].weight.data.copy_(torch.tensor([[1.0, -3.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]))
        >>> RectGrad(percentile=0.5)(model, torch.ones(1, 1, 2, 2), torch.tensor([0]))
        tensor([[[1., 0.],
                 [0., 2.]]])
        >>> RectGrad(percentile=0.5, magnitude=True)(model, torch.ones(1, 1, 2, 2), torch.tensor([0]))
        tensor([[[0., 3.],
                 [0., 2.]]])

    References:
        Kim et al., "Why are Saliency Maps Noisy?", 2019. https://arxiv.org/abs/1902.04893
    """

    percentile: float = 0.98
    magnitude: bool = False
    name: str = "rect_grad"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_fraction("percentile", self.percentile)
        check_flag("magnitude", self.magnitude)

    @property
    def rule(self) -> ReluRule:
        """Important signals."""
        return ReluRule("rectified_magnitude" if self.magnitude else "rectified", float(self.percentile))

    def formula(self, images: Images, signal: Tensor) -> Maps:
        """Multiply by the image and sum the channels' magnitudes."""
        return (images * signal).abs().sum(dim=1)
