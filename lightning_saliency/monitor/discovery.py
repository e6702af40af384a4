"""The subject of explanations: the network in a module, and the classes of its output."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from lightning_saliency._checks import check_classes, check_targets
from lightning_saliency._types import Logits, Targets
from lightning_saliency.monitor.batches import are_classes

# Functions are not described more closely, since configuration tools would refuse those without equal annotations.
TargetChoice: TypeAlias = Literal["label", "predicted"] | int | Callable[..., Any] | None
NetworkChoice: TypeAlias = str | Callable[..., Any] | None
OutputChoice: TypeAlias = str | int | Callable[..., Any] | None


def network_of(module: nn.Module, model: NetworkChoice, output: OutputChoice) -> nn.Module:
    """Return a module that maps images to logits.

    Raises:
        TypeError: If the attribute path does not lead to a module.
        ValueError: If there is no such attribute.
    """
    network = _part(module, model) if isinstance(model, str) else module
    if not callable(model) and output is None:
        return network
    return _Classifier(network, model if callable(model) else None, output)


def choose_targets(choice: TargetChoice, logits: Logits, labels: Tensor | None) -> Targets:
    """Return the classes to explain.

    Raises:
        ValueError: If labels are needed and there are none, or a target is not a class of the model.
    """
    if choice == "label" and labels is None:
        raise ValueError(
            "Expected labels in the batch for `target` 'label', but got none: pass 'predicted' or `batch`."
        )
    targets: Tensor
    if callable(choice):
        targets = choice(logits, labels)
        check_targets(targets, len(logits))
    elif isinstance(choice, int):
        targets = torch.full((len(logits),), choice, device=logits.device)
    elif choice == "predicted" or labels is None:
        targets = logits.argmax(dim=1)
    elif are_classes(labels):
        targets = labels
    else:
        raise ValueError(
            f"Expected labels to be one class for each of {len(logits)} images, but got {labels.dtype} of shape "
            f"{tuple(labels.shape)}: pass `target` 'predicted', a class, or a function of logits and labels."
        )
    check_classes(targets, logits.shape[1])
    return targets.to(logits.device, torch.int64)


def _part(module: nn.Module, path: str) -> nn.Module:
    try:
        part = attrgetter(path)(module)
    except AttributeError as error:
        children = ", ".join(name for name, _ in module.named_children()) or "none"
        raise ValueError(
            f"Expected `model` to be an attribute path of {type(module).__name__}, but got {path!r}: "
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
