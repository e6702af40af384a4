"""Search for everything that reading from a data set, or a forward, may change."""

import dis
import gc
import random
import sys
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    GeneratorType,
    MemberDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.quasirandom import SobolEngine

from lightning_saliency.monitor._bindings import BINDINGS, ClassNames, Names, Slots, bindings_of
from lightning_saliency.monitor._copies import is_copied
from lightning_saliency.monitor._positions import files_inside, is_file, is_restored_by_attributes, is_stream

GENERATORS: Final = (torch.Generator, np.random.Generator, np.random.BitGenerator, np.random.RandomState, random.Random)
ARRAYS: Final = (Tensor, np.ndarray, array, bytearray)
# Objects that hold no generators, or belong to everybody.
LEAVES: Final = (str, bytes, int, float, complex, bool, type(None), type, ModuleType, CodeType, *ARRAYS)
LIBRARIES: Final = frozenset(("builtins", "lightning", "numpy", "pandas", "PIL", "pytorch_lightning", "torch"))
# Their functions and classes lead to caches of the process, where the search would lose most of its time.
STANDARD: Final = frozenset(("abc", "collections", "contextlib", "dataclasses", "enum", "functools", "typing"))
# Other threads work on what these hold, so that their contents are not what they were, rightly.
SHARED: Final = frozenset(
    ("asyncio", "concurrent", "logging", "mlflow", "multiprocessing", "queue", "tensorboard", "threading", "wandb")
)
LIGHTNING: Final = frozenset(("lightning", "pytorch_lightning"))
INSTALLED: Final = frozenset(("site-packages", "dist-packages"))
# Objects that refer to what Python code put into them, and to nothing of their own.
TRANSPARENT: Final = (
    list, tuple, dict, set, frozenset, deque, CellType, GeneratorType, partial, property, classmethod, staticmethod,
)  # fmt: skip
MOST_OBJECTS: Final = 500_000
STORE_GLOBAL: Final = dis.opmap["STORE_GLOBAL"]
SEQUENCES: Final = (list, deque)
TABLES: Final = (dict, OrderedDict, defaultdict, Counter, set)
# Larger ones are data rather than counters.
LARGEST_ARRAY: Final = 4096


@dataclass(frozen=True)
class Reach:
    """Objects that are reached from others.

    Attributes:
        holders: Generators of random numbers, objects with attributes, containers, small tensors and arrays, files,
            variables of enclosing functions, data in users' classes, and global names.
        streams: Names of the iterators and files that reading advances and nothing can set back.
    """

    holders: list[Any]
    streams: list[str]


def reach_of(parts: Sequence[Any]) -> Reach:
    """Search for what a data set or a function can reach and reading may change.

    Looked at are attributes, containers, enclosed variables, and the global names that functions and methods of the
    user's modules read; of installed packages the global generators and functions only. Objects of Lightning's classes
    are looked at no further than what they hold themselves, since they reach the trainer. Objects made in C are looked
    through, but the containers and files that they hide are left alone: a cache of `functools.lru_cache` crashes once
    other code has changed its table. Queues, loggers and threads are left alone too.
    The search ends at half a million objects.
    """
    visited: dict[int, Any] = {}
    internal: set[int] = set()
    waiting: list[tuple[Any, bool]] = [(part, False) for part in parts]
    while waiting and len(visited) < MOST_OBJECTS:
        one, is_internal = waiting.pop()
        if not is_internal:
            internal.discard(id(one))
        if id(one) in visited or _is_passed_over(one):
            continue
        visited[id(one)] = one
        if is_internal and (is_container(one) or is_file(one) or _is_stream(one)):
            internal.add(id(one))
        if not _ends_here(one):
            # Those that both lists have are taken from the end, where they are parts.
            waiting += [(referent, True) for referent in _internals(one)] + [(part, False) for part in _parts(one)]
    inside = {id(each) for one in visited.values() if is_file(one) for each in files_inside(one)}
    reached = [one for name, one in visited.items() if name not in internal and name not in inside]
    holders = [one for one in reached if _can_change(one)]
    return Reach(holders, _streams_in(reached, holders))


def _streams_in(reached: Sequence[Any], holders: Sequence[Any]) -> list[str]:
    copied = {id(value) for one in holders for value in _values_of(one) if is_copied(value)}
    streams = [one for one in reached if id(one) not in copied and _is_stream(one)]
    return sorted({getattr(one, "__qualname__", type(one).__name__) for one in streams})


def _is_stream(one: Any) -> bool:
    """Tell an iterator made in C or by a library, its method `__next__`, and a file without a position."""
    if isinstance(one, MethodWrapperType):
        return one.__name__ == "__next__" and not is_file(one.__self__)
    if is_file(one):
        return is_stream(one)
    kind = type(one)
    # Cursors of SQLite begin anew with each query.
    if not issubclass(kind, Iterator) or kind.__module__ == "sqlite3":
        return False
    return isinstance(kind.__next__, WrapperDescriptorType) or library_of(kind) is not None


def _ends_here(one: Any) -> bool:
    is_plain_file = is_file(one) and not is_restored_by_attributes(one)
    return is_plain_file or issubclass(type(one), (*GENERATORS, *ARRAYS, Names, ClassNames, Slots))


def _is_passed_over(one: Any) -> bool:
    library = type(one).__module__.partition(".")[0]
    return library in SHARED or library == "typing" or (issubclass(type(one), LEAVES) and not is_small_array(one))


def _can_change(one: Any) -> bool:
    is_changing = is_container(one) or is_file(one) or is_small_array(one) or has_attributes(one)
    return is_changing or issubclass(type(one), (*GENERATORS, *BINDINGS))


def is_container(one: Any) -> bool:
    """Tell a list, table or set that Python code may have filled."""
    kind = type(one)
    return kind in SEQUENCES or kind in TABLES or (issubclass(kind, (*SEQUENCES, *TABLES)) and library_of(kind) is None)


def is_small_array(one: Any) -> bool:
    """Tell a tensor or array that may be a counter."""
    if issubclass(type(one), Tensor):
        is_plain = one.layout is torch.strided and one.device.type == "cpu" and not one.is_inference()
        return is_plain and one.numel() <= LARGEST_ARRAY and one.grad_fn is None
    if issubclass(type(one), np.ndarray):
        return one.size <= LARGEST_ARRAY and bool(one.flags.writeable)
    return issubclass(type(one), array | bytearray) and len(one) <= LARGEST_ARRAY


def has_attributes(one: Any) -> bool:
    """Tell objects of users' classes, whose attributes can be restored."""
    kind = type(one)
    if is_file(one) and not is_restored_by_attributes(one):
        return False
    is_function = issubclass(kind, FunctionType | MethodType | BuiltinFunctionType)
    is_of_user = library_of(kind) is None or issubclass(kind, SobolEngine)
    return not is_function and is_of_user and bool(getattr(kind, "__dictoffset__", 0))


def _values_of(one: Any) -> Sequence[Any]:
    values = list(vars(one).values()) if has_attributes(one) else []
    if issubclass(type(one), BINDINGS):
        return list(bindings_of(one).values())
    if is_container(one):
        return [*(one.values() if isinstance(one, dict) else one), *values]
    return values


def _parts(one: Any) -> list[Any]:
    """List the objects that Python code reaches through this one, and may change in place."""
    if isinstance(one, FunctionType):
        attributes = [vars(one)] if _is_of_user(one.__module__) else []
        return [one.__closure__, one.__defaults__, one.__kwdefaults__, *_globals_of(one), *attributes]
    if isinstance(one, MethodType):
        return [one.__self__, one.__func__]
    if isinstance(one, BuiltinFunctionType):
        return [one.__self__]
    library = library_of(type(one))
    attributes = list(vars(one).values()) if getattr(type(one), "__dictoffset__", 0) else []
    if library in LIGHTNING:
        return [value for value in attributes if issubclass(type(value), GENERATORS) or _is_of_data_module(value, one)]
    elements = gc.get_referents(one) if issubclass(type(one), TRANSPARENT) else []
    if library is not None:
        # Where they read is known to them, and so stays with them.
        return [part for part in attributes + elements if not (attributes and is_file(part))]
    slots = _slots_of(type(one))
    values = [Slots(one, slots), *bindings_of(Slots(one, slots)).values()] if slots else []
    return [*attributes, *elements, *values, *_parts_of_class(type(one))]


def _is_of_data_module(value: Any, owner: Any) -> bool:
    """Tell what a data module may count in; the state of networks is looked for at another place."""
    is_counter = is_small_array(value) or is_file(value) or (is_container(value) and len(value) <= LARGEST_ARRAY)
    return is_counter and not isinstance(owner, nn.Module)


def _internals(one: Any) -> list[Any]:
    """List all that this object refers to; some of it may belong to its code in C."""
    is_python = isinstance(one, FunctionType | MethodType | BuiltinFunctionType) or library_of(type(one)) in LIGHTNING
    return [] if is_python or issubclass(type(one), TRANSPARENT) else gc.get_referents(one)


def _slots_of(kind: type) -> dict[str, MemberDescriptorType]:
    return {
        f"{base.__qualname__}.{name}": value
        for base in kind.__mro__
        if "__slots__" in vars(base) and not _is_of_a_library(base)  # classes made in C have members that only read
        for name, value in vars(base).items()
        if isinstance(value, MemberDescriptorType)
    }


def _parts_of_class(kind: type) -> list[Any]:
    """List the methods of a class, and what it holds itself: for an installed class no containers and arrays."""
    parts: list[Any] = []
    for base in kind.__mro__:
        if _is_of_a_library(base):
            continue
        is_of_user = _is_of_user(base.__module__)
        values = [getattr(value, "__func__", getattr(value, "fget", None) or value) for value in vars(base).values()]
        parts += [
            value for value in values if is_of_user or not (is_container(value) or issubclass(type(value), ARRAYS))
        ]
        parts += [ClassNames(base)] if is_of_user else []
    return parts


def _globals_of(function: FunctionType) -> list[Any]:
    """List what the global names of a function stand for, and those names that may get other values."""
    every, stored = function.__globals__, _stored_names(function.__code__)
    values = {name: every[name] for name in _names_in(function.__code__) if name in every}
    if not _is_of_user(function.__module__):
        return [*filter(_is_generator_or_function, values.values()), *_names(every, stored)]
    copied = [name for name, value in values.items() if is_copied(value)]
    classes = [value for value in values.values() if isinstance(value, type) and _is_of_user(value.__module__)]
    others = [value for value in values.values() if not (isinstance(value, FunctionType) and _is_of_a_library(value))]
    return [*others, *(part for kind in classes for part in _parts_of_class(kind)), *_names(every, (*stored, *copied))]


def _names(every: dict[str, Any], stored: tuple[str, ...]) -> list[Names]:
    return [Names(every, stored)] if stored else []


def _is_generator_or_function(value: Any) -> bool:
    is_function = isinstance(value, FunctionType) and not _is_of_a_library(value)
    return is_function or issubclass(type(value), GENERATORS)


def _names_in(code: CodeType) -> dict[str, None]:
    """Return the names that code reads, nested code included, in their order."""
    nested = (part for part in code.co_consts if isinstance(part, CodeType))
    return dict.fromkeys((*code.co_names, *(name for part in nested for name in _names_in(part))))


def _stored_names(code: CodeType) -> tuple[str, ...]:
    """List the global names that code gives values, nested code included."""
    is_storing = STORE_GLOBAL in code.co_code[::2]  # every instruction is one byte and its argument another
    here = [step.argval for step in dis.get_instructions(code) if step.opcode == STORE_GLOBAL] if is_storing else []
    nested = (part for part in code.co_consts if isinstance(part, CodeType))
    return tuple(dict.fromkeys((*here, *(name for part in nested for name in _stored_names(part)))))


def _is_of_a_library(one: FunctionType | type) -> bool:
    library = (one.__module__ or "").partition(".")[0]
    return library in LIBRARIES or library in STANDARD


@cache
def _is_of_user(module: str | None) -> bool:
    """Tell a module of the user's project from those of Python, of this package and of installed packages."""
    library = (module or "").partition(".")[0]
    file = getattr(sys.modules.get(module or ""), "__file__", None)
    if library == "__main__":
        return True
    is_python = library in sys.stdlib_module_names or library == __name__.partition(".")[0]
    return file is not None and not is_python and INSTALLED.isdisjoint(Path(file).parts)


def library_of(kind: type) -> str | None:
    """Name the library that a class, or the class that it derives from, belongs to, where that is Lightning's."""
    libraries = [base.__module__.partition(".")[0] for base in kind.__mro__[:-1]]
    for library in libraries:
        if library in LIGHTNING:
            return library
    return libraries[0] if libraries and libraries[0] in LIBRARIES else None
