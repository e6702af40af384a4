"""Let other buffers stand in for a module's own, for a while."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def buffers_replaced(module: nn.Module, values: Mapping[str, Tensor]) -> Iterator[None]:
    """Replace buffers by name and restore them, also after an exception; those of another shape stay."""
    places = [(*_place(module, name), value) for name, value in values.items()]
    originals = [(owner, name, owner._buffers[name]) for owner, name, _ in places]
    try:
        for owner, name, value in places:
            original = owner._buffers[name]
            if original is not None and original.shape == value.shape:
                owner._buffers[name] = value
        yield
    finally:
        for owner, name, original in originals:
            owner._buffers[name] = original


def _place(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, last = name.rpartition(".")
    return module.get_submodule(path), last
