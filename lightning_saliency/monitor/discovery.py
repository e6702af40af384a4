"""The subject of explanations: the network in a module, and the target in its output."""

from collections.abc import Callable
from functools import wraps
from operator import attrgetter
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from lightning_saliency._checks import check_targets
from lightning_saliency._types import Images, Targets
from lightning_saliency.monitor.batches import are_classes
from lightning_saliency.targets import Target, Value, class_logits
from lightning_saliency.targets._value import is_value

# Functions are not described more closely, since configuration tools would refuse those without equal annotations.
TargetChoice: TypeAlias = Literal["label", "predicted"] | int | Target | Callable[..., Any] | None
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


def choose_targets(choice: TargetChoice, output: Any, labels: Tensor | None) -> Targets | Target:
    """Return the classes to explain, or the target that is chosen.

    Args:
        choice: The argument `target`.
        output: The output of the network. Functions get the logits of two classes where it has one.
        labels: The labels of the batch, if it has any.

    Raises:
        TypeError: If a class is needed and the output has no logits of classes.
        ValueError: If labels are needed and there are none.
    """
    if isinstance(choice, Target):
        return choice
    if choice == "label" and labels is None:
        raise ValueError(
            "Expected labels in the batch for `target` 'label', but got none: pass 'predicted' or `batch`."
        )
    if callable(choice):
        targets = choice(_paired(output), labels)
        if isinstance(targets, Target):
            return targets
        if is_value(targets):
            return Value(_of_output(choice)) if labels is None else Value(choice, labels)
        logits = class_logits(output, None)
        check_targets(targets, len(logits))
        classes: Targets = targets.to(logits.device, torch.int64)
        return classes
    logits = class_logits(output, None)
    if isinstance(choice, int):
        targets = torch.full((len(logits),), choice, device=logits.device)
    elif choice == "predicted" or labels is None:
        targets = logits.argmax(dim=1)
    elif are_classes(labels):
        targets = labels
    else:
        raise ValueError(
            f"Expected labels to be one class for each of {len(logits)} images, but got {labels.dtype} of shape "
            f"{tuple(labels.shape)}: pass `target` 'predicted', a class, a function of logits and labels, for "
            "several classes an image `MultiLabel()`, or for a regression `Regression(0)`."
        )
    return targets.to(logits.device, torch.int64)


def is_one_column(output: Any) -> bool:
    """Return whether a network has one output an image, as for two classes or for a regression."""
    return isinstance(output, Tensor) and (output.ndim == 1 or output.shape[1:] == (1,))


def not_classes(targets: Targets, num_classes: int) -> dict[int, str]:
    """Return which rows have a target that is no class of the model, and why."""
    rows = ((targets < 0) | (targets >= num_classes)).nonzero().flatten().tolist()
    return {row: f"the target is {targets[row].item()}, and the model has {num_classes} classes" for row in rows}


def call_network(network: nn.Module, images: Images) -> Any:
    """Return the network's output for images alone.

    Raises:
        TypeError: If the network needs something else.
    """
    try:
        return network(images.clone())
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        kind = type(network.network if isinstance(network, _Classifier) else network).__name__
        raise TypeError(
            f"{kind} must map images of shape {tuple(images.shape)} to logits, but raised "
            f"{type(error).__name__}: {error}.  Pass `model`, a function of (module, images) or the name of the "
            "attribute that holds the network."
        ) from error


def _of_output(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return a function of the output alone, for data without labels."""

    @wraps(function)
    def of_output(output: Any) -> Any:
        return function(output, None)

    return of_output


def _paired(output: Any) -> Any:
    """Return the logits of two classes where there is one, and any other output as it is."""
    return class_logits(output, None) if isinstance(output, Tensor) and output.ndim == 2 else output


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

    def forward(self, images: Tensor, *extras: Tensor) -> Any:
        output = self.network(images, *extras) if self.call is None else self.call(self.network, images, *extras)
        if self.output is None:
            return output
        if callable(self.output):
            return self.output(output)
        if isinstance(self.output, str) and not isinstance(output, dict):
            return getattr(output, self.output)
        return output[self.output]
