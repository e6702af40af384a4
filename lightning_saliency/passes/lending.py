"""Lend modules other parameters for a moment, and take them back."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

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


def is_plain(module: nn.Module) -> bool:
    """Whether a module is nothing but a convolution or a linear layer with its weights at hand.

    Subclasses may make something of their weights, hooks may look at them, and strategies may hold a part of them.
    """
    if module._forward_pre_hooks or module._forward_hooks or "forward" in module.__dict__:
        return False
    weight = module._parameters.get("weight")
    # Shards are distributed tensors, or flat.
    return type(module) in PLAIN and weight is not None and weight.ndim > 1 and not hasattr(weight, "device_mesh")


def in_half_precision(model: nn.Module, loans: Iterable[Loan]) -> list[Loan]:
    """Cast what plain convolutions and linear layers have, or are lent, to bfloat16 once rather than at every pass."""
    by_module = {loan.module: loan for loan in loans}
    for module in model.modules():
        if module in by_module or is_plain(module):
            before = by_module.get(module, Loan(module, {}))
            own = {name: tensor for name, tensor in module._parameters.items() if tensor is not None}
            cast = {name: tensor.detach().to(torch.bfloat16) for name, tensor in {**own, **before.parameters}.items()}
            by_module[module] = Loan(module, cast, before.forward)
    return list(by_module.values())
