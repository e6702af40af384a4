"""Read from a loader's data set without leaving a trace in it."""

import copy
import gc
import random
from collections.abc import Iterator
from contextlib import contextmanager
from types import BuiltinFunctionType, FunctionType, ModuleType, SimpleNamespace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

GENERATORS: Final = (torch.Generator, np.random.Generator, np.random.BitGenerator, np.random.RandomState, random.Random)
# What cannot hold a generator, or is shared by everybody.
LEAVES: Final = (
    str, bytes, bytearray, int, float, complex, bool, type(None), type, ModuleType, BuiltinFunctionType, Tensor,
    np.ndarray, nn.Module,
)  # fmt: skip
MOST_OBJECTS: Final = 2_000_000
MOST_COPIED: Final = 200_000


@contextmanager
def untouched(loader: Any) -> Iterator[Any]:
    """Yield what is to be read instead of a loader: its data set and collate function as copies where possible.

    In the loader's own workers nothing that is read here leaves a trace. In this process the data set and the collate
    function are copied, their arrays and tensors shared; generators of random numbers that they hold are restored
    afterwards, for what cannot be copied.
    """
    if loader.num_workers:
        yield loader
        return
    parts = (loader.dataset, loader.collate_fn)
    objects = _reachable(parts)
    states = [(generator, _state_of(generator)) for generator in objects if isinstance(generator, GENERATORS)]
    dataset, collate_fn = _copied(parts, objects)
    try:
        yield SimpleNamespace(
            dataset=dataset,
            collate_fn=collate_fn,
            num_workers=0,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=None,
        )
    finally:
        for generator, state in states:
            _restore(generator, state)


def _copied(parts: tuple[Any, ...], objects: list[Any]) -> tuple[Any, ...]:
    """Copy deeply, except arrays, tensors and modules; the originals where that is impossible or takes long."""
    if len(objects) > MOST_COPIED:
        return parts
    memo = {id(one): one for one in objects if isinstance(one, Tensor | np.ndarray | nn.Module)}
    try:
        return copy.deepcopy(parts, memo)
    except Exception:  # noqa: BLE001 - whatever a user's data set raises, it can be read without a copy
        return parts


def _reachable(roots: tuple[Any, ...]) -> list[Any]:
    """List the objects that can be reached, without those that hold no others."""
    visited: dict[int, Any] = {}
    waiting: list[Any] = list(roots)
    while waiting and len(visited) < MOST_OBJECTS:
        one = waiting.pop()
        if id(one) in visited:
            continue
        visited[id(one)] = one
        if isinstance(one, LEAVES + GENERATORS):
            continue
        referents = _referents_of_function(one) if isinstance(one, FunctionType) else gc.get_referents(one)
        waiting += [other for other in referents if not isinstance(other, (str, bytes, int, float, type, ModuleType))]
    return list(visited.values())


def _referents_of_function(function: FunctionType) -> list[Any]:
    """List what a function encloses, and the generators that it uses by name; its other globals are its module's."""
    used = (function.__globals__.get(name) for name in function.__code__.co_names)
    return [function.__closure__, function.__defaults__, *(one for one in used if isinstance(one, GENERATORS))]


def _state_of(generator: Any) -> Any:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return generator.get_state()
    return copy.deepcopy(getattr(generator, "bit_generator", generator).state)


def _restore(generator: Any, state: Any) -> None:
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        getattr(generator, "bit_generator", generator).state = state
