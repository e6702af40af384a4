"""The objects that an object holds: attributes, containers, enclosed variables."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import numpy as np
from torch import Tensor

# Objects that hold nothing of interest, or belong to everybody.
LEAVES: Final = (
    str, bytes, bytearray, int, float, complex, bool, type(None), type, ModuleType, BuiltinFunctionType, CodeType,
    Tensor, np.ndarray,
)  # fmt: skip
FRAMEWORKS: Final = ("lightning", "pytorch_lightning")
MOST_OBJECTS: Final = 5_000
LONGEST_CONTAINER: Final = 256


def reachable(root: Any, is_end: Callable[[Any], bool] = lambda one: False) -> Iterator[Any]:
    """Yield an object and what it holds, the nearest first, except for objects of Lightning, which hold everything.

    Args:
        root: The object.
        is_end: Whether an object is looked at no further.
    """
    visited: set[int] = set()
    waiting: list[Any] = [root]
    for one in waiting:
        if len(visited) >= MOST_OBJECTS:
            return
        if id(one) in visited or issubclass(type(one), LEAVES) or (one is not root and _is_of_framework(one)):
            continue
        visited.add(id(one))
        yield one
        waiting += [] if is_end(one) else _held_by(one)


def _held_by(one: Any) -> Sequence[Any]:
    if isinstance(one, list | tuple | set | frozenset):
        return list(one) if len(one) <= LONGEST_CONTAINER else []
    if isinstance(one, dict):
        return list(one.values()) if len(one) <= LONGEST_CONTAINER else []
    if isinstance(one, partial):
        return [one.func, *one.args, *one.keywords.values()]
    if isinstance(one, MethodType):
        return [one.__self__, one.__func__]
    if isinstance(one, FunctionType):
        cells = [cell.cell_contents for cell in one.__closure__ or () if _is_filled(cell)]
        return [*cells, *(one.__defaults__ or ()), *named_globals(one, one.__code__)]
    return list(getattr(one, "__dict__", {}).values())


def named_globals(function: FunctionType, code: CodeType) -> list[Any]:
    """List the global objects that code names, nested code included."""
    values = [function.__globals__[name] for name in code.co_names if name in function.__globals__]
    nested = (part for part in code.co_consts if isinstance(part, CodeType))
    return values + [value for part in nested for value in named_globals(function, part)]


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _is_of_framework(one: Any) -> bool:
    return any(base.__module__.partition(".")[0] in FRAMEWORKS for base in type(one).__mro__)
