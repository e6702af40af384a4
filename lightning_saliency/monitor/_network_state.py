"""Explain a network without a trace in what its forwards and hooks keep."""

import copy
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lightning_saliency._model import is_sharded, mention_written
from lightning_saliency.monitor._untouched import holders_of, untouched

CONTAINERS: Final = (list, deque, dict, OrderedDict, defaultdict, set)


@contextmanager
def network_untouched(module: nn.Module) -> Iterator[None]:
    """Restore afterwards the generators, lists and small tensors that the network and its hooks reach.

    Parameters too large to be kept are compared by their norm and named if they were written. Networks whose
    parameters are sharded are left alone, since their strategies keep their own state in hooks, and those that are not
    initialised are refused later.
    """
    parameters = dict(module.named_parameters())
    if any(is_sharded(each) or is_lazy(each) for each in parameters.values()):
        yield
        return
    values = [value for part in module.modules() for name, value in vars(part).items() if name != "_parameters"]
    holders = holders_of([*values, *parameters.values()])
    before = _norms_of(parameters)
    try:
        with untouched(holders), _on_copies_of_attributes(module):
            yield
    finally:
        after = _norms_of(parameters)
        mention_written([name for name, norm in before.items() if after.get(name, norm) != norm])


@contextmanager
def _on_copies_of_attributes(module: nn.Module) -> Iterator[None]:
    """Restore what a forward keeps in attributes: counters, lists, buffers that it registers, states of metrics.

    Plain tensors are replaced by copies, as buffers are, since they may be written in place. Parameters are restored
    elsewhere, or are sharded and swapped by their strategy; hooks remove themselves, and other threads may have some.
    """
    parts = list(module.modules())
    attributes = [dict(vars(part)) for part in parts]
    containers = [
        (value, copy.copy(value))
        for names in attributes
        for name, value in names.items()
        if type(value) in CONTAINERS and name != "_parameters" and "_hooks" not in name
    ]
    try:
        for part, names in zip(parts, attributes, strict=True):
            vars(part).update({name: value.clone() for name, value in names.items() if _is_plain_tensor(value)})
        yield
    finally:
        for part, names in zip(parts, attributes, strict=True):
            for name in vars(part).keys() - names.keys():
                del vars(part)[name]
            vars(part).update(names)
        for container, contents in containers:
            if not _are_same(container, contents):
                _refill(container, contents)


def _is_plain_tensor(value: object) -> bool:
    return isinstance(value, Tensor) and not value.requires_grad


def _are_same(container: Any, contents: Any) -> bool:
    """Whether a container holds the same objects as before, in the same order."""
    if len(container) != len(contents):
        return False
    pairs = zip(container, contents, strict=True)
    if isinstance(container, dict):
        pairs = zip((*container, *container.values()), (*contents, *contents.values()), strict=True)
    return all(one is other for one, other in pairs)


def _refill(container: Any, contents: Any) -> None:
    container.clear()
    if isinstance(container, dict | set):
        container.update(contents)
    else:
        container.extend(contents)


def _norms_of(parameters: dict[str, nn.Parameter]) -> dict[str, float]:
    """Read the norms of all parameters at once, those that are not finite as -1."""
    norms: list[Tensor] = [torch.linalg.vector_norm(parameter.detach().float()) for parameter in parameters.values()]
    values = torch.stack([norm.to(norms[0]) for norm in norms]).nan_to_num(-1, -1, -1).tolist() if norms else []
    return dict(zip(parameters, values, strict=True))
