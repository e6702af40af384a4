"""Base of the class activation maps: one map for each layer, upsampled to the image's size and averaged."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._checks import check_choice
from lightning_saliency._types import Images, Maps
from lightning_saliency.methods._stream_method import StreamMethod
from lightning_saliency.methods._upsampling import upsample
from lightning_saliency.passes.layer_statistics import pooled
from lightning_saliency.passes.layers import LAST_SPATIAL, LayerName
from lightning_saliency.passes.points import Clean, Points
from lightning_saliency.passes.statistics import Activation, Mean, Statistic, part_of
from lightning_saliency.passes.stream import Reading

Pooled: TypeAlias = Literal["signed", "positive", "absolute"]
POOLED: Final = ("signed", "positive", "absolute")
Quantity: TypeAlias = tuple[Points, Statistic]


def checked_layers(layer: str | Sequence[str] | None) -> str | tuple[str, ...] | None:
    """Check names of layers, and make a tuple of a list, so that the method can be hashed."""
    if layer is None or isinstance(layer, str):
        return layer
    if not isinstance(layer, Sequence) or not layer or not all(isinstance(name, str) for name in layer):
        raise TypeError(f"Expected `layer` to be a name, a list of names or None, but got {layer!r}.")
    return tuple(layer)


def names_of(layer: str | Sequence[str] | None, call: int, default: str = LAST_SPATIAL) -> tuple[LayerName, ...]:
    """List the layers' names with the call that is read; `None` means the default."""
    paths = (default,) if layer is None else (layer,) if isinstance(layer, str) else tuple(layer)
    return tuple(LayerName(path, call) for path in paths)


def check_call(call: object) -> None:
    """Refuse a call that is not a whole number."""
    if isinstance(call, bool) or not isinstance(call, int):
        raise TypeError(
            f"`call` must be a whole number, but got {call!r}.  Pass 0 for the first call, -1 for the last."
        )


class LayerMethod(StreamMethod):
    """A method that reads the same quantities at each of its layers.

    Subclasses are frozen dataclasses with the fields `layer` and `call`.
    """

    layer: str | Sequence[str] | None
    call: int
    default_layer: ClassVar[str] = LAST_SPATIAL

    def __post_init__(self) -> None:
        """Check the layers."""
        object.__setattr__(self, "layer", checked_layers(self.layer))
        check_call(self.call)

    @property
    def layer_names(self) -> tuple[LayerName, ...]:
        """Names of the layers with the call that is read."""
        return names_of(self.layer, self.call, self.default_layer)

    @abstractmethod
    def quantities(self, layer: LayerName) -> tuple[Quantity, ...]:
        """Quantities that are read at a layer, and at which points."""

    @abstractmethod
    def cam(self, *values: Any) -> Maps:
        """Make raw maps (B, *grid) of one layer's quantities."""

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The quantities of every layer."""
        return tuple(
            Reading(points, statistic, layer)
            for layer in self.layer_names
            for points, statistic in self.quantities(layer)
        )

    def formula(self, images: Images, *values: Any) -> Maps:
        """Make each layer's map, upsample, and average."""
        count = len(self.layer_names)
        size = len(values) // count
        maps = [upsample(self.cam(*values[index * size : (index + 1) * size]), images) for index in range(count)]
        return maps[0] if count == 1 else torch.stack(maps).mean(dim=0)


class GradientCAM(LayerMethod):
    """A class activation map made of a layer's activation and its gradient at the image."""

    def quantities(self, layer: LayerName) -> tuple[Quantity, ...]:
        """The layer's activation and gradient at the image."""
        return (Clean(), Activation()), (Clean(), Mean())

    @abstractmethod
    def cam(self, activation: Tensor, gradient: Tensor) -> Maps:
        """Make raw maps (B, *grid) of an activation and a gradient, both (B, K, *grid)."""


def check_pooled(aggregation: object, argument: str = "aggregation") -> None:
    """Refuse an unknown part of gradients."""
    check_choice(argument, aggregation, POOLED)


def channel_means(gradient: Tensor, aggregation: Pooled) -> Tensor:
    """Average one part of the gradient over positions, (B, K, *grid) -> (B, K, 1...)."""
    return pooled(part_of(gradient, aggregation))


def positions(grid: Tensor) -> tuple[int, ...]:
    """Dimensions of (B, K, *grid) that are space."""
    return tuple(range(2, grid.ndim))
