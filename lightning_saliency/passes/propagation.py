"""Replace what flows back through a network: every operation is watched, in modules and in functions."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lightning_saliency._checks import UnsuitableModelError
from lightning_saliency._types import Images, Model
from lightning_saliency.passes.points import Points, Sample
from lightning_saliency.passes.recorder import Recorder
from lightning_saliency.targets import Target

Propagate: TypeAlias = Callable[[Tensor], tuple[Tensor, ...]]
Operation: TypeAlias = Callable[..., Any]


@runtime_checkable
class Rule(Protocol):
    """A frozen description of what flows back; equal rules must do the same."""

    def watching(self) -> "Watching":
        """Start to watch the operations of one forward."""


@dataclass(frozen=True)
class Ruled(Points):
    """The image itself; what flows back to it follows a rule instead of the gradient's."""

    rule: Rule

    @property
    def num_steps(self) -> int:
        """One: the image."""
        return 1

    def sample(self, images: Images, step: int) -> Sample:
        """Return the images, and the rule around the forward."""
        return Sample(images, around=self.rule.watching)

    def prepared(self, recorder: Recorder, images: Images, target: Target) -> Points:
        """Refuse a network whose operations cannot be watched."""
        check_watchable(recorder.model)
        return self


class Watching(TorchFunctionMode, ABC):
    """Watches every operation of a forward by its name: `"relu"` for `nn.ReLU`, `F.relu` and `Tensor.relu_`."""

    @abstractmethod
    def operate(self, name: str, operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Return the operation's result; what flows back through it may differ from the gradient."""

    def finish(self) -> None:
        """Check the operations after a forward that did not raise."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """Stop watching."""
        TorchFunctionMode.__exit__(self, kind, error, trace)
        if kind is None:
            self.finish()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call `operate` with the operation's plain name."""
        name = getattr(func, "__name__", "").strip("_")
        return self.operate(name, func, args, dict(kwargs or {}))


def check_watchable(model: Model) -> None:
    """Refuse a network with compiled scripts, whose operations nothing sees.

    Raises:
        UnsuitableModelError: If a part of it is a script.
    """
    for name, part in model.named_modules() if isinstance(model, nn.Module) else ():
        if isinstance(part, torch.jit.ScriptModule):
            raise UnsuitableModelError(
                f"The model must be made of plain modules, since every operation is watched, but got a script at "
                f"{name!r}.  Pass the network as it was before `torch.jit`, or use a method such as Gradient."
            )


def with_rule(output: Tensor, inputs: tuple[Tensor, ...], propagate: Propagate) -> Tensor:
    """Return the output; `propagate` computes from what arrives there what flows back to each of the inputs."""
    result: Tensor = _Ruled.apply(propagate, output.detach(), *inputs)
    return result


def apply_to_copy(operation: Operation, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Tensor, bool]:
    """Apply an operation to a copy of its first input, and return whether it worked in place."""
    copy = args[0].detach().clone()
    with torch.no_grad():
        output = operation(copy, *args[1:], **options)
    return output, output.data_ptr() == copy.data_ptr()


def write_back(original: Tensor, result: Tensor, *, wrote: bool) -> Tensor:
    """Write a result into the operation's input if the operation would have done so."""
    return original.copy_(result) if wrote else result


def carries_gradient(value: Any) -> bool:
    """Return whether anything flows back through a value, or through a member of it."""
    if isinstance(value, Tensor):
        return value.requires_grad
    return isinstance(value, list | tuple) and any(carries_gradient(member) for member in value)


class _Ruled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, propagate: Propagate, output: Tensor, *inputs: Tensor) -> Tensor:
        ctx.propagate = propagate
        return output.clone()

    @staticmethod
    def backward(ctx: Any, *flowing: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *ctx.propagate(flowing[0])
