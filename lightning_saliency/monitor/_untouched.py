"""Read from a loader's data set without leaving a trace in it."""

import copy
import dis
import gc
import itertools
import operator
import random
import warnings
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    GeneratorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
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
# Their functions and classes lead to caches of the process, where the search would lose most of its time.
STANDARD: Final = frozenset(("abc", "collections", "contextlib", "dataclasses", "enum", "functools", "typing"))
# Other threads work on what these hold, so that their contents are not what they were, rightly.
SHARED: Final = frozenset(
    ("asyncio", "concurrent", "logging", "mlflow", "multiprocessing", "queue", "tensorboard", "threading", "wandb")
)
LIGHTNING: Final = frozenset(("lightning", "pytorch_lightning"))
# Objects that refer to what Python code put into them, and to nothing of their own.
TRANSPARENT: Final = (
    list, tuple, dict, set, frozenset, deque, CellType, GeneratorType, partial, property, classmethod, staticmethod,
)  # fmt: skip
MOST_OBJECTS: Final = 500_000
# Iterators that know a place in what they go through, and have a copy at the same place.
PLACES: Final = tuple(
    map(type, (iter([]), iter(()), iter(range(1)), iter(range(2**70)), iter("a"), iter("é"), iter(b"")))
)
STORE_GLOBAL: Final = dis.opmap["STORE_GLOBAL"]
SEQUENCES: Final = (list, deque)
TABLES: Final = (dict, OrderedDict, defaultdict, Counter, set)
# Larger ones are data rather than counters.
LARGEST_ARRAY: Final = 4096


@dataclass(frozen=True, eq=False)
class _Names:
    """Names of a module that a function of it gives other values.

    Attributes:
        module: All names of the module.
        stored: Those names.
    """

    module: MutableMapping[str, Any]
    stored: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Slots:
    """Attributes of an object that are not in its dictionary.

    Attributes:
        owner: The object.
        slots: The descriptors that read and write them, by name.
    """

    owner: Any
    slots: dict[str, MemberDescriptorType]


# Objects that are names with values, and nothing else.
BINDING: Final = (CellType, _Names, _Slots)


def holders_of(parts: Sequence[Any]) -> list[Any]:
    """List what a data set or a function can reach and reading may change.

    These are generators of random numbers, objects with attributes, containers, small tensors and arrays, variables of
    enclosing functions, and global names that a function gives other values.

    Looked at are attributes, containers, enclosed variables, and the global generators and functions that functions
    and methods name. Objects of Lightning's classes are looked at no further than their generators, since they reach
    the trainer. Objects made in C are looked through, but the containers that they hide are left alone: a cache of
    `functools.lru_cache` crashes once other code has changed its table. Queues, loggers and threads are left alone too.
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
        if is_internal and _is_container(one):
            internal.add(id(one))
        if not issubclass(type(one), (*GENERATORS, Tensor, np.ndarray, _Names, _Slots)):
            # Those that both lists have are taken from the end, where they are parts.
            waiting += [(referent, True) for referent in _internals(one)] + [(part, False) for part in _parts(one)]
    return [one for name, one in visited.items() if name not in internal and _can_change(one)]


def streams_in(holders: Sequence[Any]) -> list[str]:
    """Name the iterators that are held, such as runs of generator functions, and which nothing can set back."""
    values = (value for one in holders for value in _values_of(one))
    return sorted({getattr(value, "__qualname__", type(value).__name__) for value in values if _is_stream(value)})


@contextmanager
def untouched(holders: Sequence[Any]) -> Iterator[None]:
    """Restore afterwards the states of generators, attributes, the contents of containers, and small arrays.

    No object is copied as a whole: a copy of a data set could close its files when it is collected.
    """
    states = [(one, _state_of(one)) for one in holders]
    try:
        yield
    finally:
        for one, state in states:
            _restore(one, state)


def _is_stream(value: Any) -> bool:
    """Tell an iterator made in C, or of a generator function, that has no copy at the same place."""
    is_iterator = type(value).__module__ in ("builtins", "itertools") and isinstance(value, Iterator)
    return is_iterator and _kept(value) is value


def _is_passed_over(one: Any) -> bool:
    library = type(one).__module__.partition(".")[0]
    return library in SHARED or library == "typing" or (issubclass(type(one), LEAVES) and not _is_small_array(one))


def _can_change(one: Any) -> bool:
    has_bindings = type(one) in BINDING or _is_container(one) or _has_attributes(one)
    return has_bindings or issubclass(type(one), GENERATORS) or _is_small_array(one)


def _is_container(one: Any) -> bool:
    return type(one) in SEQUENCES or type(one) in TABLES


def _is_small_array(one: Any) -> bool:
    if issubclass(type(one), Tensor):
        is_plain = one.layout is torch.strided and one.device.type == "cpu" and not one.is_inference()
        return is_plain and one.numel() <= LARGEST_ARRAY and one.grad_fn is None
    return issubclass(type(one), np.ndarray) and one.size <= LARGEST_ARRAY and one.flags.writeable


def _values_of(one: Any) -> Sequence[Any]:
    if type(one) in SEQUENCES:
        return list(one)
    if type(one) in TABLES:
        return list(one.values()) if isinstance(one, dict) else list(one)
    if type(one) in BINDING:
        return list(_bindings_of(one).values())
    return list(vars(one).values()) if _has_attributes(one) else []


def _bindings_of(one: Any) -> dict[str, Any]:
    """Return the values of an enclosed variable, global names or slots, where they have one."""
    if isinstance(one, _Names):
        return {name: one.module[name] for name in one.stored if name in one.module}
    if isinstance(one, _Slots):
        return {name: slot.__get__(one.owner) for name, slot in one.slots.items() if _is_filled(slot, one.owner)}
    try:
        return {"cell_contents": one.cell_contents}
    except ValueError:
        return {}


def _kept(value: Any) -> Any:
    """Copy an iterator that counts, whose state is nowhere else; anything else is kept as it is."""
    if isinstance(value, PLACES):
        return copy.copy(value)
    if isinstance(value, itertools.count | itertools.cycle):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                return copy.copy(value) if isinstance(value, itertools.count) else _copy_of_cycle(value)
            except TypeError:
                return value
    return value


def _copy_of_cycle(cycle: Any) -> Any:
    """Copy what it goes through too, which `copy.copy` shares during the first round."""
    kind, (iterator,), (saved, is_saved) = cycle.__reduce__()
    clone = kind(copy.copy(iterator))
    clone.__setstate__((list(saved), is_saved))
    return clone


def _parts(one: Any) -> list[Any]:
    """List the objects that Python code reaches through this one, and may change in place."""
    if isinstance(one, FunctionType):
        stored = _stored_names(one.__code__)
        names = [_Names(one.__globals__, stored)] if stored else []
        return [one.__closure__, one.__defaults__, *_named_globals(one, one.__code__), *names]
    if isinstance(one, MethodType):
        return [one.__self__, one.__func__]
    library = _library_of(type(one))
    attributes = list(vars(one).values()) if getattr(type(one), "__dictoffset__", 0) else []
    if library in LIGHTNING:
        return [value for value in attributes if issubclass(type(value), GENERATORS)]
    elements = gc.get_referents(one) if issubclass(type(one), TRANSPARENT) else []
    if library is not None:
        return attributes + elements
    slots = _slots_of(type(one))
    values = [_Slots(one, slots), *_bindings_of(_Slots(one, slots)).values()] if slots else []
    return [*attributes, *elements, *values, *_functions_of(type(one))]


def _internals(one: Any) -> list[Any]:
    """List all that this object refers to; some of it may belong to its code in C."""
    is_python = isinstance(one, FunctionType | MethodType) or _library_of(type(one)) in LIGHTNING
    return [] if is_python or issubclass(type(one), TRANSPARENT) else gc.get_referents(one)


def _slots_of(kind: type) -> dict[str, MemberDescriptorType]:
    return {
        f"{base.__qualname__}.{name}": value
        for base in kind.__mro__
        if "__slots__" in vars(base) and not _is_of_a_library(base)  # classes made in C have members that only read
        for name, value in vars(base).items()
        if isinstance(value, MemberDescriptorType)
    }


def _is_filled(slot: MemberDescriptorType, one: Any) -> bool:
    try:
        slot.__get__(one)
    except AttributeError:
        return False
    return True


def _functions_of(kind: type) -> list[Any]:
    """List the methods and class attributes of a user's class, without containers, which belong to all its objects."""
    return [
        getattr(value, "__func__", getattr(value, "fget", None) or value)
        for base in kind.__mro__
        if not _is_of_a_library(base)
        for value in vars(base).values()
        if not (type(value) in SEQUENCES or type(value) in TABLES or isinstance(value, Tensor | np.ndarray))
    ]


def _named_globals(function: FunctionType, code: CodeType) -> list[Any]:
    """List the generators and functions of the user's that code names, nested code included."""
    values = [function.__globals__.get(name) for name in code.co_names]
    named = [
        value
        for value in values
        if issubclass(type(value), GENERATORS) or (isinstance(value, FunctionType) and not _is_of_a_library(value))
    ]
    nested = (part for part in code.co_consts if isinstance(part, CodeType))
    return named + [value for part in nested for value in _named_globals(function, part)]


def _stored_names(code: CodeType) -> tuple[str, ...]:
    """List the global names that code gives values, nested code included."""
    is_storing = STORE_GLOBAL in code.co_code[::2]  # every instruction is one byte and its argument another
    here = [step.argval for step in dis.get_instructions(code) if step.opcode == STORE_GLOBAL] if is_storing else []
    nested = (part for part in code.co_consts if isinstance(part, CodeType))
    return tuple(dict.fromkeys((*here, *(name for part in nested for name in _stored_names(part)))))


def _is_of_a_library(one: FunctionType | type) -> bool:
    library = (one.__module__ or "").partition(".")[0]
    return library in LIBRARIES or library in STANDARD


def _library_of(kind: type) -> str | None:
    """Name the library that a class, or the class that it derives from, belongs to, where that is Lightning's."""
    libraries = [base.__module__.partition(".")[0] for base in kind.__mro__[:-1]]
    for library in libraries:
        if library in LIGHTNING:
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
        return _contents_of(one)
    except (NotImplementedError, TypeError, ReferenceError):
        return None  # a generator without a state, such as the operating system's


def _contents_of(one: Any) -> Any:
    if isinstance(one, Tensor):
        return one.detach().clone()
    if isinstance(one, np.ndarray):
        return one.copy()
    if type(one) in SEQUENCES:
        return [_kept(value) for value in one]
    if type(one) is set:
        return set(one)
    if type(one) in BINDING:
        return {name: _kept(value) for name, value in _bindings_of(one).items()}
    return {name: _kept(value) for name, value in (one if type(one) in TABLES else vars(one)).items()}


def _restore_contents(one: Any, contents: Any) -> None:
    """Write contents back where they differ; views and names of the object stay what they are."""
    if isinstance(one, Tensor):
        if not torch.equal(one, contents):
            with torch.no_grad():
                one.copy_(contents)
    elif isinstance(one, np.ndarray):
        if one.tobytes() != contents.tobytes():
            one[...] = contents
    elif type(one) in SEQUENCES:
        if not _are_same(one, contents):
            one.clear()
            one.extend(contents)
    elif type(one) in BINDING:
        _bind(one, contents)
    else:
        table = one if type(one) in TABLES else vars(one)
        entries, kept = (list(table), list(contents))
        values = ([], []) if isinstance(table, set) else (table.values(), contents.values())
        if not (_are_same(entries, kept) and _are_same(*values)):
            table.clear()
            table.update(contents)


def _bind(one: Any, bindings: dict[str, Any]) -> None:
    """Give an enclosed variable, global names or slots the values that they had; one without has none again."""
    if isinstance(one, _Names):
        one.module.update(bindings)
        for name in (name for name in one.stored if name not in bindings):
            one.module.pop(name, None)
    elif isinstance(one, _Slots):
        for name, value in bindings.items():
            one.slots[name].__set__(one.owner, value)
        for name in _bindings_of(one).keys() - bindings:
            one.slots[name].__delete__(one.owner)
    elif bindings:
        one.cell_contents = bindings["cell_contents"]
    elif _bindings_of(one):
        del one.cell_contents


def _are_same(one: Any, other: Any) -> bool:
    return len(one) == len(other) and all(map(operator.is_, one, other))


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
        _restore_contents(one, state)
