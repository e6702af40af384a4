"""Explain a network without a trace in what its forwards and hooks keep."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lightning_saliency._model import is_sharded, mention_written
from lightning_saliency.monitor._reach import reach_of
from lightning_saliency.monitor._untouched import untouched


@contextmanager
def network_untouched(module: nn.Module) -> Iterator[None]:
    """Restore afterwards the attributes, generators and lists that the network and its hooks reach.

    Parameters too large to be kept are compared by their norm and named if they were written. Networks whose
    parameters are sharded are left alone, since their strategies keep their own state in hooks, and those that are not
    initialised are refused later.
    """
    parameters = dict(module.named_parameters())
    if any(is_sharded(each) or is_lazy(each) for each in parameters.values()):
        yield
        return
    values = [value for part in module.modules() for name, value in vars(part).items() if name != "_parameters"]
    # The attributes of library's modules are restored as those of the user's.
    holders = [*reach_of([*values, *parameters.values()]).holders, *map(vars, module.modules())]
    before = _norms_of(parameters)
    try:
        with untouched(holders):
            _use_copies_of_tensors(module)
            yield
    finally:
        after = _norms_of(parameters)
        mention_written([name for name, norm in before.items() if after.get(name, norm) != norm])


def _use_copies_of_tensors(module: nn.Module) -> None:
    """Replace plain tensors in attributes by copies, as buffers are replaced, since they may be written in place."""
    for part in module.modules():
        names = vars(part)
        names.update({name: value.clone() for name, value in names.items() if _is_plain_tensor(value)})


def _is_plain_tensor(value: object) -> bool:
    return isinstance(value, Tensor) and not value.requires_grad


def _norms_of(parameters: dict[str, nn.Parameter]) -> dict[str, float]:
    """Read the norms of all parameters at once, those that are not finite as -1."""
    norms: list[Tensor] = [torch.linalg.vector_norm(parameter.detach().float()) for parameter in parameters.values()]
    values = torch.stack([norm.to(norms[0]) for norm in norms]).nan_to_num(-1, -1, -1).tolist() if norms else []
    return dict(zip(parameters, values, strict=True))
