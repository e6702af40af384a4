"""Pixels at which the target's gradient is the highest, or the lowest, of all classes."""

from dataclasses import dataclass
from typing import Literal

import torch

from lightning_saliency._checks import check_integer
from lightning_saliency._types import Images, Maps
from lightning_saliency.methods._stream_method import StreamMethod
from lightning_saliency.passes.points import Clean
from lightning_saliency.passes.statistics import Extrema, RivalExtrema
from lightning_saliency.passes.stream import Reading


@dataclass(frozen=True)
class ActiveGradient(StreamMethod):
    """Magnitude of the target logit's gradient where it exceeds every other class's, its largest over channels.

    Brightening such a pixel raises the target's logit more than any other class's. The comparison is strict and made
    in each channel. A gradient may be negative and still the highest. A term added to all logits leaves the
    support unchanged. A model of one logit has two classes, z and -z: there the map is the positive gradient.

    Maps are in units of logit per unit of normalised input. Cost: one forward and K backwards per image in
    constant memory, shared with the inactive map; the forward also with every method at the clean image.

    Args:
        classes: `"all"`, or how many of the other classes to compare with, those of the highest logits. Then a pixel
            also counts where a class with a lower logit has the higher gradient, so that the map can only grow. Ten
            of a thousand classes cost a hundredth, but the rank correlation with the exact map is only .5 to .75.
        name: Key in results and logs.

    Raises:
        TypeError: If `classes` is neither `"all"` nor a whole number.
        ValueError: If `classes` is less than 1.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[3.0, -1.0, 0.5, -2.0], [1.0, -3.0, 0.5, 1.0]]))
        >>> ActiveGradient()(model, torch.ones(1, 1, 2, 2), torch.tensor([0]))
        tensor([[[3., 1.],
                 [0., 0.]]])

    References:
        Llorente et al., "A matter of attitude", 2023. https://arxiv.org/abs/2309.12913
    """

    classes: Literal["all"] | int = "all"
    name: str = "active_gradient"

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check_rivals(self.classes)

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The target's gradient and the extrema of the others'."""
        return (Reading(Clean(), RivalExtrema(self.classes)),)

    def formula(self, images: Images, gradients: Extrema) -> Maps:
        """Keep the highest gradients and take the largest channel."""
        strongest = torch.where(gradients.target > gradients.highest, gradients.target.abs(), 0.0)
        return strongest.amax(dim=1)


@dataclass(frozen=True)
class InactiveGradient(StreamMethod):
    """Magnitude of the target logit's gradient where it is below every other class's, its largest over channels.

    Darkening such a pixel raises the target's logit more, or lowers it less, than any other class's. The comparison is
    strict and made in each channel. Support in a channel is disjoint from the active map's. A model of one logit has
    two classes, z and -z: there the map is the negative gradient.

    Maps are in units of logit per unit of normalised input. Cost: one forward and K backwards per image in
    constant memory, shared with the active map; the forward also with every method at the clean image.

    Args:
        classes: `"all"`, or how many of the other classes to compare with, those of the highest logits. Then a pixel
            also counts where a class with a lower logit has the lower gradient, so that the map can only grow.
        name: Key in results and logs.

    Raises:
        TypeError: If `classes` is neither `"all"` nor a whole number.
        ValueError: If `classes` is less than 1.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[3.0, -1.0, 0.5, -2.0], [1.0, -3.0, 0.5, 1.0]]))
        >>> InactiveGradient()(model, torch.ones(1, 1, 2, 2), torch.tensor([0]))
        tensor([[[0., 0.],
                 [0., 2.]]])

    References:
        Llorente et al., "A matter of attitude", 2023. https://arxiv.org/abs/2309.12913
    """

    classes: Literal["all"] | int = "all"
    name: str = "inactive_gradient"

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check_rivals(self.classes)

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The target's gradient and the extrema of the others'."""
        return (Reading(Clean(), RivalExtrema(self.classes)),)

    def formula(self, images: Images, gradients: Extrema) -> Maps:
        """Keep the lowest gradients and take the largest channel."""
        weakest = torch.where(gradients.target < gradients.lowest, gradients.target.abs(), 0.0)
        return weakest.amax(dim=1)


def _check_rivals(classes: object) -> None:
    if not (isinstance(classes, str) and classes == "all"):
        check_integer("classes", classes, minimum=1)
