"""Read from a loader's data set without leaving a trace in it."""

import copy
import gc
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

GENERATORS: Final = (torch.Generator, np.random.Generator, np.random.BitGenerator, np.random.RandomState, random.Random)
# Objects that hold no generators, or belong to everybody.
LEAVES: Final = (
    str, bytes, bytearray, int, float, complex, bool, type(None), type, ModuleType, BuiltinFunctionType, CodeType,
    Tensor, np.ndarray,
)  # fmt: skip
LIBRARIES: Final = frozenset(("builtins", "lightning", "numpy", "pandas", "PIL", "pytorch_lightning", "torch"))
MOST_OBJECTS: Final = 500_000


def holders_of(parts: Sequence[Any]) -> list[Any]:
    """List generators of random numbers, and objects with attributes, that a data set or a function can reach.

    Looked at are attributes, containers, enclosed variables, and the global generators and functions that functions
    and methods name. Objects of Lightning's classes are looked at no further than their generators, since they reach
    the trainer. The search ends at half a million objects.
    """
    visited: dict[int, Any] = {}
    waiting: list[Any] = list(parts)
    while waiting and len(visited) < MOST_OBJECTS:
        one = waiting.pop()
        if id(one) in visited or issubclass(type(one), LEAVES):
            continue
        visited[id(one)] = one
        if not issubclass(type(one), GENERATORS):
            waiting += _referents(one)
    return [one for one in visited.values() if issubclass(type(one), GENERATORS) or _has_attributes(one)]


@contextmanager
def untouched(holders: Sequence[Any]) -> Iterator[None]:
    """Restore the states of generators, and attributes that are set, afterwards.

    Nothing is copied: a copy of a data set could close its files when it is collected. Changes in place, such as a
    list that grows, stay.
    """
    states = [(one, _state_of(one)) for one in holders]
    try:
        yield
    finally:
        for one, state in states:
            _restore(one, state)


def _referents(one: Any) -> list[Any]:
    if isinstance(one, FunctionType):
        return [one.__closure__, one.__defaults__, *_named_globals(one, one.__code__)]
    if isinstance(one, MethodType):
        return [one.__self__, one.__func__]
    library = _library_of(type(one))
    referents = gc.get_referents(one)
    if library in ("lightning", "pytorch_lightning"):
        attributes = getattr(one, "__dict__", {})
        return [value for value in attributes.values() if issubclass(type(value), GENERATORS)]
    return referents if library is not None else [*referents, *_functions_of(type(one))]


def _functions_of(kind: type) -> list[Any]:
    """List the methods and class attributes of a user's class."""
    return [
        getattr(value, "__func__", getattr(value, "fget", None) or value)
        for base in kind.__mro__
        if base.__module__.partition(".")[0] not in LIBRARIES
        for value in vars(base).values()
    ]


def _named_globals(function: FunctionType, code: CodeType) -> list[Any]:
    """List the generators and functions of the user's that code names, nested code included."""
    values = [function.__globals__.get(name) for name in code.co_names]
    named = [
        value
        for value in values
        if issubclass(type(value), GENERATORS)
        or (isinstance(value, FunctionType) and (value.__module__ or "").partition(".")[0] not in LIBRARIES)
    ]
    nested = (part for part in code.co_consts if isinstance(part, CodeType))
    return named + [value for part in nested for value in _named_globals(function, part)]


def _library_of(kind: type) -> str | None:
    """Name the library that a class, or the class that it derives from, belongs to, where that is Lightning's."""
    libraries = [base.__module__.partition(".")[0] for base in kind.__mro__[:-1]]
    for library in libraries:
        if library in ("lightning", "pytorch_lightning"):
            return library
    return libraries[0] if libraries and libraries[0] in LIBRARIES else None


def _has_attributes(one: Any) -> bool:
    """Tell objects of users' classes, whose attributes can be restored."""
    is_function = issubclass(type(one), FunctionType | MethodType)
    return not is_function and _library_of(type(one)) is None and bool(getattr(type(one), "__dictoffset__", 0))


def _bits_of(generator: Any) -> Any:
    return getattr(generator, "bit_generator", generator)


def _state_of(one: Any) -> Any:
    try:
        if isinstance(one, torch.Generator | np.random.RandomState):
            return one.get_state()
        if isinstance(one, random.Random):
            return one.getstate()
        if isinstance(one, np.random.Generator | np.random.BitGenerator):
            return copy.deepcopy(_bits_of(one).state)
        return dict(vars(one))
    except (NotImplementedError, TypeError, ReferenceError):
        return None  # a generator without a state, such as the operating system's


def _restore(one: Any, state: Any) -> None:
    if state is None:
        return
    if isinstance(one, torch.Generator | np.random.RandomState):
        one.set_state(state)
    elif isinstance(one, random.Random):
        one.setstate(state)
    elif isinstance(one, np.random.Generator | np.random.BitGenerator):
        _bits_of(one).state = state
    else:
        attributes = vars(one)
        for name in [name for name in attributes if name not in state]:
            del attributes[name]
        attributes.update(state)
