"""A look ahead: what a monitor explains, where, and at which cost, learnt on its first images."""

import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from lightning_saliency._saliency_method import as_method
from lightning_saliency._types import Images
from lightning_saliency.methods import Method
from lightning_saliency.monitor._rounding import rounded
from lightning_saliency.monitor.discovery import TargetChoice
from lightning_saliency.passes.layers import find_layers
from lightning_saliency.passes.normalization import Normalization
from lightning_saliency.targets import Target

PACKAGES: Final = ("lightning_saliency", "torch", "lightning", "torchmetrics", "timm")


@dataclass
class Passes:
    """How many images went through a network.

    Attributes:
        forwards: Forwards of one image.
        backwards: Backwards of one image.
    """

    forwards: int = 0
    backwards: int = 0


@dataclass(frozen=True)
class Preflight:
    """The subject of a monitor and its cost.

    Attributes:
        network: Type of the network.
        layers: Paths of the layers that each method reads.
        normalization: How raw pixels became what the network is fed; `None` where that is unknown.
        normalization_source: Where it was read.
        target: The class that is explained.
        class_names: Names of the classes, where the data set has them.
        forwards: Forwards an image, those for scores included.
        backwards: Backwards an image.
        seconds: Estimated time of an evaluation on one process; fuller batches take less.
        num_images: Number of images of an evaluation.
        without_cues: Why no cues are followed; empty where some are, or none were asked for.

    Example:
        >>> preflight = Preflight("ResNet", {"grad_cam": ("layer4",)}, None, "", "label", None, 43.0, 21.0, 3.2, 64)
        >>> print(preflight)
        Explains label of ResNet; grad_cam reads layer4; normalization unknown; class names unknown; 43 forwards and \
21 backwards an image, at most about 3.2 s for 64 images on one process.
    """

    network: str
    layers: Mapping[str, tuple[str, ...]]
    normalization: Normalization | None
    normalization_source: str
    target: str
    class_names: tuple[str, ...] | None
    forwards: float
    backwards: float
    seconds: float
    num_images: int
    without_cues: str = ""

    def __str__(self) -> str:
        parts = [f"Explains {self.target} of {self.network}", *self.facts, self.cost]
        return "; ".join(parts) + "."

    @property
    def facts(self) -> list[str]:
        """Say what was found of layers, colours and classes, a part of a sentence each."""
        layers = [f"{method} reads {', '.join(paths)}" for method, paths in self.layers.items()]
        return [*layers, self._colours, self._classes, *([self.without_cues] if self.without_cues else [])]

    @property
    def cost(self) -> str:
        """Say what an evaluation takes."""
        return (
            f"{rounded(self.forwards, 3)} forwards and {rounded(self.backwards, 3)} backwards an image, "
            f"at most about {rounded(self.seconds, 2)} s for {self.num_images} images on one process"
        )

    @property
    def _colours(self) -> str:
        if self.normalization is None:
            return "normalization unknown"
        mean, std = (_listed(values) for values in (self.normalization.mean, self.normalization.std))
        source = f" ({self.normalization_source})" if self.normalization_source else ""
        return f"normalized by mean {mean} and std {std}{source}"

    @property
    def _classes(self) -> str:
        if self.class_names is None:
            return "class names unknown"
        first, last = (_printable(name) for name in (self.class_names[0], self.class_names[-1]))
        return f"{len(self.class_names)} classes from {first} to {last}"


@contextmanager
def passes_counted(network: nn.Module) -> Iterator[Passes]:
    """Count the images that go forward and backward through a network while the block runs."""
    passes = Passes()

    def count(_module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        passes.forwards += len(inputs[0])
        leaves = (leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor) and leaf.requires_grad)
        leaf = next(leaves, None)
        if leaf is not None:
            leaf.register_hook(count_back)

    def count_back(gradient: Tensor) -> None:
        passes.backwards += len(gradient)

    handle = network.register_forward_hook(count)
    try:
        yield passes
    finally:
        handle.remove()


def layers_of(network: nn.Module, images: Images, methods: Mapping[str, Method], target: Target) -> dict[str, Any]:
    """Return the paths of the layers that each method reads; methods that read none, or find none, are left out."""
    paths = {id(module): path for path, module in network.named_modules()}
    layers = {}
    for name, method in methods.items():
        requested = as_method(method, name).layers
        try:
            layers_read = find_layers(network, images, requested, target).values()
        except (TypeError, ValueError):  # the explanation itself has said so
            continue
        if layers_read:
            layers[name] = tuple(paths.get(id(layer.module), "") for layer in layers_read)
    return layers


def described_target(choice: TargetChoice, labels: Tensor | None) -> str:
    """Name the class that is explained."""
    if isinstance(choice, int):
        return f"class {choice}"
    if choice is None:
        return "label" if labels is not None else "predicted"
    return choice if isinstance(choice, str) else getattr(choice, "__name__", type(choice).__name__)


def versions() -> str:
    """List the versions of what computes."""
    return ", ".join([f"Python {platform.python_version()}", *(_version(package) for package in PACKAGES)])


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} not installed"


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.3g}" for value in values)


def _printable(text: str) -> str:
    """Replace what no terminal can show."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
