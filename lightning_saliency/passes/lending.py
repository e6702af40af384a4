"""Lend modules other parameters for a moment, and take them back."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from lightning_saliency._model import logits_of
from lightning_saliency._types import Images, Logits

CONVOLUTIONS: Final = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
PLAIN: Final = (*CONVOLUTIONS, nn.Linear)


class Loan(NamedTuple):
    """What one module gets for a moment.

    Attributes:
        module: Who gets it.
        parameters: What stands in for its parameters, by their names.
        forward: What is called instead of its forward, or `None` for its own.
    """

    module: nn.Module
    parameters: Mapping[str, Tensor]
    forward: Callable[[Tensor], Tensor] | None = None


class Snapshot(NamedTuple):
    """A tensor as it was when it was looked at: equal are those of one tensor that nobody wrote to in between."""

    tensor: Tensor
    version: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Snapshot) and self.tensor is other.tensor and self.version == other.version

    def __hash__(self) -> int:
        return hash((id(self.tensor), self.version))


class Call(NamedTuple):
    """One call of a module.

    Attributes:
        module: What was called.
        seen: Its first argument, where that was a tensor and not passed by name.
        made: What it returned, where that was a tensor.
    """

    module: nn.Module
    seen: Snapshot | None
    made: Snapshot | None


@contextmanager
def lent(loans: Iterable[Loan]) -> Iterator[None]:
    """Lend while the block runs."""
    loans = list(loans)
    own = [dict(loan.module._parameters) for loan in loans]
    try:
        for loan in loans:
            loan.module._parameters.update(loan.parameters)  # type: ignore[arg-type]  # tensors need not be Parameters
            if loan.forward is not None:
                loan.module.__dict__["forward"] = loan.forward
        yield
    finally:
        for loan, parameters in zip(loans, own, strict=True):
            loan.module._parameters.update(parameters)
            if loan.forward is not None:
                loan.module.__dict__.pop("forward", None)


@torch.no_grad()
def calls_of(model: nn.Module, images: Images, wanted: Callable[[nn.Module], bool]) -> tuple[list[Call], Logits]:
    """Predict images, and note the calls of some modules on the way."""
    calls: list[Call] = []

    def keep(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        calls.append(Call(module, _snapshot(inputs[0] if inputs else None), _snapshot(output)))

    with ExitStack() as stack:
        for module in [module for module in model.modules() if wanted(module)]:
            stack.callback(module.register_forward_hook(keep).remove)
        logits = logits_of(model, images.clone())
    return calls, logits


def is_untouched(module: nn.Module) -> bool:
    """Whether nothing looks at what a module gets and makes, and it is called as its class says."""
    return not (module._forward_pre_hooks or module._forward_hooks or "forward" in module.__dict__)


def is_whole(tensor: Tensor | None) -> bool:
    """Whether a tensor is no shard."""
    return tensor is None or not hasattr(tensor, "device_mesh")


def is_plain(module: nn.Module) -> bool:
    """Whether a module is nothing but a convolution or a linear layer with its weights at hand.

    Subclasses may make something of their weights, hooks may look at them, and strategies may hold a part of them.
    """
    if type(module) not in PLAIN or not is_untouched(module):
        return False
    weight = module._parameters.get("weight")
    return weight is not None and weight.ndim > 1 and is_whole(weight)  # some shards are flat


def in_half_precision(
    modules: Iterable[nn.Module], loans: Iterable[Loan], layout: torch.memory_format = torch.contiguous_format
) -> list[Loan]:
    """Lend modules their parameters, or what they are lent already, in bfloat16: cast once, not at every pass.

    Weights of 2-D convolutions are laid out as the images are, which spares a copy at every pass.
    """
    by_module = {module: Loan(module, {}) for module in modules} | {loan.module: loan for loan in loans}
    return [loan if loan.forward else _halved(loan, layout) for loan in by_module.values()]


def _halved(loan: Loan, layout: torch.memory_format) -> Loan:
    own = {name: tensor for name, tensor in loan.module._parameters.items() if tensor is not None}
    halves = {name: _half(tensor, layout) for name, tensor in {**own, **loan.parameters}.items()}
    return loan._replace(parameters=halves)


def _half(tensor: Tensor, layout: torch.memory_format) -> Tensor:
    half = tensor.detach().to(torch.bfloat16)
    return half.contiguous(memory_format=layout) if half.ndim == 4 else half


def _snapshot(value: Any) -> Snapshot | None:
    return Snapshot(value, value._version) if isinstance(value, Tensor) else None
