"""Small trained networks that read a planted sign, and honest ones, from the file `shortcuts/networks.pt`."""

from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

WIDTHS: Final = ((3, 16), (16, 32), (32, 64))
SHORTCUT: Final = 0.2
HONEST: Final = 0.05
FAMILIES: Final = {
    "place": "place",
    "oneclass": "place",
    "moving": "place",
    "watermark": "place",
    "frame": "place",
    "tint": "tone",
    "level": "tone",
    "contrast": "tone",
    "texture": "texture",
    "grain": "texture",
    "size": "geometry",
    "position": "geometry",
}
"""The family that names each kind of sign."""


class Bundled(NamedTuple):
    """A trained network with the images that a monitor would watch.

    Attributes:
        name: Its name.
        domain: `"digits"`, `"cifar"` or `"four"` (classes of CIFAR-10).
        kind: Kind of the planted sign, `"none"` without one.
        fall: How much accuracy falls on the same images when the sign tells nothing about the class any more.
        model: The network, in evaluation mode.
        images: Images (64, 3, 32, 32) in [0, 1].
        labels: Their labels (64,).
    """

    name: str
    domain: str
    kind: str
    fall: float
    model: nn.Module
    images: Tensor
    labels: Tensor

    @property
    def truth(self) -> str:
        """`"shortcut"`, `"honest"`, or `"between"`."""
        if self.fall > SHORTCUT:
            return "shortcut"
        return "honest" if self.fall < HONEST else "between"


def read_networks(data: Path) -> list[Bundled]:
    """Read all networks below the folder with the data."""
    return [_network(entry) for entry in torch.load(data / "shortcuts" / "networks.pt", weights_only=True)]


def _network(entry: dict[str, Any]) -> Bundled:
    model = flat_network() if entry["arch"] == "flat" else gap_network()
    model.load_state_dict({key: _widened(value) for key, value in entry["weights"].items()})
    return Bundled(
        entry["name"],
        entry["domain"],
        entry["kind"],
        entry["aligned"] - entry["decoupled"],
        model.eval(),
        entry["images"].float() / 255,
        entry["labels"].long(),
    )


def _widened(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def flat_network(num_classes: int = 10) -> nn.Module:
    """Return three strided convolutions and a linear layer on all positions."""
    return nn.Sequential(*_convolutions(3), nn.Flatten(), nn.Linear(1024, num_classes))


def gap_network(num_classes: int = 10) -> nn.Module:
    """Return three strided convolutions and a linear layer on their mean."""
    return nn.Sequential(*_convolutions(5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, num_classes))


def _convolutions(first_kernel: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for (inner, outer), kernel in zip(WIDTHS, (first_kernel, 3, 3), strict=True):
        convolution = nn.Conv2d(inner, outer, kernel, stride=2, padding=kernel // 2, bias=False)
        layers += [convolution, nn.BatchNorm2d(outer), nn.ReLU()]
    return layers
