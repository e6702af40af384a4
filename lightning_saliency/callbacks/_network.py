"""The network to explain: the module itself, a part of it, or what a function makes of it."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeAlias

import lightning.pytorch as pl
from torch import Tensor, nn

NetworkChoice: TypeAlias = str | Callable[..., Any] | None
OutputChoice: TypeAlias = str | int | Callable[..., Any] | None


def network_of(pl_module: pl.LightningModule, model: NetworkChoice, output: OutputChoice) -> nn.Module:
    """Return a module that maps images to logits.

    Raises:
        TypeError: If the attribute path does not lead to a module.
        ValueError: If there is no such attribute, or the module itself was chosen and has no forward.
    """
    network = _part(pl_module, model) if isinstance(model, str) else pl_module
    if model is None and type(pl_module).forward is pl.LightningModule.forward:
        raise ValueError(
            f"Expected {type(pl_module).__name__} to have a `forward` from images to logits, but got none: "
            "pass `model`, the name of the attribute that holds the network."
        )
    if not callable(model) and output is None:
        return network
    return _Classifier(network, model if callable(model) else None, output)


def _part(pl_module: pl.LightningModule, path: str) -> nn.Module:
    try:
        part = attrgetter(path)(pl_module)
    except AttributeError as error:
        children = ", ".join(name for name, _ in pl_module.named_children()) or "none"
        raise ValueError(
            f"Expected `model` to be an attribute path of {type(pl_module).__name__}, but got {path!r}: "
            f"its modules are {children}."
        ) from error
    if not isinstance(part, nn.Module):
        raise TypeError(f"Expected `model` to lead to a module, but {path!r} is a {type(part).__name__}.")
    return part


class _Classifier(nn.Module):
    """A network with its own way of being called and of handing out logits."""

    def __init__(self, network: nn.Module, call: Callable[..., Any] | None, output: OutputChoice) -> None:
        super().__init__()
        self.network = network
        self.call = call
        self.output = output

    def forward(self, images: Tensor) -> Any:
        output = self.network(images) if self.call is None else self.call(self.network, images)
        if self.output is None:
            return output
        if callable(self.output):
            return self.output(output)
        if isinstance(self.output, str) and not isinstance(output, dict):
            return getattr(output, self.output)
        return output[self.output]
