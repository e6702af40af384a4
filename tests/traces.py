"""Everything about a model and about chance in which an explanation could leave a trace, as something to compare."""

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

HOOKS = [name for name in vars(nn.Module()) if name.endswith("_hooks")]


def trace_of(model: nn.Module) -> dict[str, Any]:
    """Copy what must be the same afterwards, and note which objects hold it."""
    return {
        "parameters": {name: _held(p) for name, p in model.named_parameters()},
        "buffers": {name: _held(b) for name, b in model.named_buffers()},
        "gradients": {name: None if p.grad is None else _held(p.grad) for name, p in model.named_parameters()},
        "requires_grad": {name: p.requires_grad for name, p in model.named_parameters()},
        "training": {name: m.training for name, m in model.named_modules()},
        "hooks": {name: {hooks: len(getattr(m, hooks)) for hooks in HOOKS} for name, m in model.named_modules()},
        "state": {name: sorted(vars(m)) for name, m in model.named_modules()},
        "chance": chance(),
        "grad mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
    }


def chance() -> dict[str, Any]:
    """Read the states of torch's, Python's and NumPy's generators."""
    kind, keys, *rest = np.random.get_state()
    return {"torch": torch.get_rng_state().tolist(), "python": random.getstate(), "numpy": (kind, keys.tolist(), *rest)}


def assert_no_trace(model: nn.Module, before: dict[str, Any]) -> None:
    """Compare part by part, so that a failure says what was left."""
    after = trace_of(model)
    for part in ("requires_grad", "training", "hooks", "state", "chance", "grad mode"):
        assert after[part] == before[part], part
    for part in ("parameters", "buffers", "gradients"):
        assert after[part].keys() == before[part].keys(), part
        for name, held in before[part].items():
            assert _same(after[part][name], held), f"{part}: {name}"


def mixed_modes(model: nn.Module) -> nn.Module:
    """Give modules different modes and parameters different flags, one of them a gradient."""
    for index, module in enumerate(model.modules()):
        module.training = index % 3 != 1
    for index, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(index % 4 != 2)
        if index % 4 == 1:
            parameter.grad = torch.full_like(parameter, 0.5)
    return model


def _held(tensor: Tensor) -> tuple[int, Tensor]:
    return id(tensor), tensor.detach().clone()


def _same(now: tuple[int, Tensor] | None, before: tuple[int, Tensor] | None) -> bool:
    if now is None or before is None:
        return now is before
    return now[0] == before[0] and torch.equal(now[1], before[1])
