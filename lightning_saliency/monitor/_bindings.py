"""Names with values outside of an object's dictionary, which can be read and bound again."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from types import CellType, MemberDescriptorType
from typing import Any, Final


@dataclass(frozen=True, eq=False)
class Names:
    """Names of a module that a function of it may give other values.

    Attributes:
        module: All names of the module.
        stored: Those names.
    """

    module: MutableMapping[str, Any]
    stored: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ClassNames:
    """Data in a user's class, which belong to all its objects.

    Attributes:
        kind: The class.
    """

    kind: type


@dataclass(frozen=True, eq=False)
class Slots:
    """Attributes of an object that are not in its dictionary.

    Attributes:
        owner: The object.
        slots: The descriptors that read and write them, by name.
    """

    owner: Any
    slots: dict[str, MemberDescriptorType]


# Objects that are names with values, and nothing else.
BINDINGS: Final = (CellType, Names, ClassNames, Slots)


def bindings_of(one: Any) -> dict[str, Any]:
    """Return the values of an enclosed variable, global names, a class or slots, where they have one."""
    if isinstance(one, Names):
        return {name: one.module[name] for name in one.stored if name in one.module}
    if isinstance(one, ClassNames):
        return {name: value for name, value in vars(one.kind).items() if _is_data(name, value)}
    if isinstance(one, Slots):
        return {name: slot.__get__(one.owner) for name, slot in one.slots.items() if _is_filled(slot, one.owner)}
    try:
        return {"cell_contents": one.cell_contents}
    except ValueError:
        return {}


def bind(one: Any, bindings: dict[str, Any]) -> None:
    """Give names the values that they had; one without has none again."""
    if isinstance(one, Names):
        one.module.update(bindings)
        for name in (name for name in one.stored if name not in bindings):
            one.module.pop(name, None)
    elif isinstance(one, ClassNames):
        _bind_in_class(one, bindings)
    elif isinstance(one, Slots):
        for name, value in bindings.items():
            one.slots[name].__set__(one.owner, value)
        for name in bindings_of(one).keys() - bindings:
            one.slots[name].__delete__(one.owner)
    elif bindings:
        one.cell_contents = bindings["cell_contents"]
    elif bindings_of(one):
        del one.cell_contents


def _bind_in_class(one: ClassNames, bindings: dict[str, Any]) -> None:
    """Write what differs only, since every writing makes calls of the class slower for a while."""
    values = bindings_of(one)
    for name, value in bindings.items():
        if name not in values or values[name] is not value:
            type.__setattr__(one.kind, name, value)
    for name in values.keys() - bindings:
        type.__delattr__(one.kind, name)


def _is_data(name: str, value: Any) -> bool:
    """Tell data from methods and properties, and from what Python itself keeps in a class."""
    return not (name.startswith(("__", "_abc_")) or hasattr(type(value), "__get__") or isinstance(value, type))


def _is_filled(slot: MemberDescriptorType, one: Any) -> bool:
    try:
        slot.__get__(one)
    except AttributeError:
        return False
    return True
