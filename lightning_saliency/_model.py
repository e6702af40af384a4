"""Borrow a model for an explanation and give it back exactly as it was; read its logits."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from lightning_saliency._random import private_random_state
from lightning_saliency._types import Images, Logits, Model

WAY_OUT: Final = (
    "wrap the model so that it returns one row of class logits per image, "
    "or tell the monitor where they are with its `model` and `output` arguments"
)


@contextmanager
def explaining(model: Model, *, seed: int = 0) -> Iterator[None]:
    """Borrow a model: evaluation mode, gradients on, parameters frozen, buffers copied, eager, chance private.

    Everything is given back on leaving, also after an exception. Of a plain function nothing can be
    borrowed but gradients and random state: pass an `nn.Module`, or a method of one, where there is one.
    """
    module = _module_behind(model)
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(private_random_state(seed, _device_of(module)))
        if "torch._dynamo" in sys.modules:  # nothing can be compiled before it is imported, and importing is slow
            # Constructed here and not earlier: the constructor alone already sets the stance.
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        if module is not None:
            stack.enter_context(_in_eval_mode(module))
            stack.enter_context(_frozen(module))
            stack.enter_context(_on_copies_of_buffers(module))
        yield


def logits_of(model: Model, images: Images) -> Logits:
    """Run the model and read its logits; a single logit z becomes the pair (-z/2, z/2)."""
    output = model(images)
    if not isinstance(output, Tensor):
        raise TypeError(f"Expected the model to return a tensor of logits, but got {_kind(output)}: {WAY_OUT}.")
    if output.ndim != 2 or output.shape[0] != images.shape[0]:
        raise ValueError(
            f"Expected logits of shape (B, K) for a batch of {images.shape[0]}, but got {tuple(output.shape)}: "
            f"{WAY_OUT}."
        )
    if output.shape[1] == 1:
        return torch.cat([-output / 2, output / 2], dim=1)
    return output


def _kind(output: Any) -> str:
    keys = f" with keys {list(output)}" if isinstance(output, dict) else ""
    return type(output).__name__ + keys


def _module_behind(model: Model) -> nn.Module | None:
    owner = getattr(model, "__self__", model)
    return owner if isinstance(owner, nn.Module) else None


def _device_of(module: nn.Module | None) -> torch.device:
    parameter = None if module is None else next(module.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


@contextmanager
def _in_eval_mode(module: nn.Module) -> Iterator[None]:
    """Set flags rather than call `eval`, which modules may override with side effects."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in modes:
            part.training = False
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Turn off gradients of parameters, which the explanation never needs.

    Sharded parameters are left alone, and flags are given back by name as well as by object: a sharded
    module may swap its parameter objects during a forward.
    """
    wanted = {
        name: parameter
        for name, parameter in module.named_parameters()
        if parameter.requires_grad and parameter.is_leaf and not _is_sharded(parameter)
    }
    try:
        for parameter in wanted.values():
            parameter.requires_grad_(False)
        yield
    finally:
        now = dict(module.named_parameters())
        for name, parameter in wanted.items():
            parameter.requires_grad_(True)
            now.get(name, parameter).requires_grad_(True)


@contextmanager
def _on_copies_of_buffers(module: nn.Module) -> Iterator[None]:
    """Lend copies: some modules write to their buffers in evaluation mode too (observers, lazy tables).

    A copy also stands in for a buffer made in inference mode, which autograd could not save.
    """
    lent = [(part, name, buffer) for part in module.modules() for name, buffer in part._buffers.items()]
    copies = {id(buffer): buffer.clone() for _, _, buffer in lent if buffer is not None}
    try:
        for part, name, buffer in lent:
            if buffer is not None:
                part._buffers[name] = copies[id(buffer)]
        yield
    finally:
        for part, name, buffer in lent:
            part._buffers[name] = buffer


def _is_sharded(parameter: nn.Parameter) -> bool:
    return hasattr(parameter, "device_mesh")
