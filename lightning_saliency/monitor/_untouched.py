"""Restore what reading from a data set, or a forward, has changed."""

import copy
import operator
import random
from array import array
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_saliency.monitor._bindings import BINDINGS, bind, bindings_of
from lightning_saliency.monitor._copies import copy_of
from lightning_saliency.monitor._positions import is_file, is_restored_by_attributes, position_of, set_position
from lightning_saliency.monitor._reach import has_attributes, is_container


class _Copies:
    """One copy of each iterator, however many objects hold it."""

    def __init__(self) -> None:
        self._copies: dict[int, tuple[Any, Any]] = {}

    def __call__(self, value: Any) -> Any:
        # The original stays alive, so that nothing else gets its identity.
        return self._copies.setdefault(id(value), (value, copy_of(value)))[1] if hasattr(value, "__next__") else value


@contextmanager
def untouched(holders: Sequence[Any]) -> Iterator[None]:
    """Restore afterwards generators, attributes, the contents of containers, small arrays and positions of files.

    No object is copied as a whole: a copy of a data set could close its files when it is collected.

    Args:
        holders: The objects that hold them, as `reach_of` lists them.
    """
    copies = _Copies()
    states = [(one, _state_of(one, copies)) for one in holders]
    try:
        yield
    finally:
        for one, state in states:
            if state is not None:
                _restore(one, state)


def _bits_of(generator: Any) -> Any:
    return getattr(generator, "bit_generator", generator)


def _state_of(one: Any, copies: _Copies) -> Any:
    try:
        if isinstance(one, torch.Generator | np.random.RandomState):
            return one.get_state()
        if isinstance(one, random.Random):
            return one.getstate()
        if isinstance(one, np.random.Generator | np.random.BitGenerator):
            return copy.deepcopy(_bits_of(one).state)
        if is_file(one) and not is_restored_by_attributes(one):
            return position_of(one)
        return _contents_of(one, copies)
    except (NotImplementedError, TypeError, ReferenceError):
        return None  # a generator without a state, such as the operating system's


def _restore(one: Any, state: Any) -> None:
    if isinstance(one, torch.Generator | np.random.RandomState):
        one.set_state(state)
    elif isinstance(one, random.Random):
        one.setstate(state)
    elif isinstance(one, np.random.Generator | np.random.BitGenerator):
        _bits_of(one).state = state
    elif isinstance(state, int):
        set_position(one, state)
    else:
        _restore_contents(one, state)


def _contents_of(one: Any, copies: _Copies) -> Any:
    if isinstance(one, Tensor):
        return one.detach().clone()
    if isinstance(one, np.ndarray | array | bytearray):
        return copy.copy(one)
    if isinstance(one, BINDINGS):
        return _copied(bindings_of(one), copies)
    attributes = _copied(vars(one), copies) if has_attributes(one) else {}
    return (_elements_of(one, copies), attributes) if is_container(one) else attributes


def _copied(table: dict[Any, Any], copies: _Copies) -> dict[Any, Any]:
    return {name: copies(value) for name, value in table.items()}


def _base_of(one: Any) -> Any:
    """Return the class whose methods read and fill a container, whatever a user's class makes of them."""
    return next(kind for kind in (OrderedDict, dict, set, deque, list) if isinstance(one, kind))


def _elements_of(one: Any, copies: _Copies) -> Any:
    base = _base_of(one)
    if isinstance(one, dict):
        return _copied(dict(base.items(one)), copies)
    return [copies(value) for value in base.__iter__(one)]


def _restore_contents(one: Any, contents: Any) -> None:
    """Write contents back where they differ; views and names of the object stay what they are."""
    if isinstance(one, Tensor):
        if not torch.equal(one, contents):
            with torch.no_grad():
                one.copy_(contents)
    elif isinstance(one, np.ndarray):
        if one.tobytes() != contents.tobytes():
            one[...] = contents
    elif isinstance(one, array | bytearray):
        if one != contents:
            one[:] = contents
    elif isinstance(one, BINDINGS):
        bind(one, contents)
    elif is_container(one):
        elements, attributes = contents
        _restore_elements(one, elements)
        if has_attributes(one):
            _restore_table(vars(one), dict, attributes)
    else:
        _restore_table(vars(one), dict, contents)


def _restore_elements(one: Any, elements: Any) -> None:
    base = _base_of(one)
    if isinstance(one, dict):
        _restore_table(one, base, elements)
    elif not _are_same(list(base.__iter__(one)), elements):
        base.clear(one)
        (base.update if isinstance(one, set) else base.extend)(one, elements)


def _restore_table(table: dict[Any, Any], base: Any, entries: dict[Any, Any]) -> None:
    if not (_are_same(base.keys(table), entries) and _are_same(base.values(table), entries.values())):
        base.clear(table)
        base.update(table, entries)


def _are_same(one: Any, other: Any) -> bool:
    return len(one) == len(other) and all(map(operator.is_, one, other))
