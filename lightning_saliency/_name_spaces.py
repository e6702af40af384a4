"""Lightning's two name spaces, `lightning.pytorch` and `pytorch_lightning`: the only place that knows there are two.

Each has its own classes, and a trainer of one takes no callback of the other for a callback. Callbacks of this package
derive from the classes of both. Whatever a trainer has is compared with both.

`pytorch_lightning` comes with `lightning`, and importing it too takes about a fiftieth of the time of `lightning`.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeGuard, TypeVar

import lightning.pytorch as pl
from lightning.pytorch import callbacks

with suppress(ImportError):
    import pytorch_lightning  # noqa: F401 - `twins` looks its classes up

NAME_SPACES: Final = ("lightning.pytorch.", "pytorch_lightning.")
Kind = TypeVar("Kind")


def twins(kind: type) -> tuple[type, ...]:
    """Return a class of `lightning.pytorch`, and that of `pytorch_lightning` if it is installed."""
    module = sys.modules.get(kind.__module__.replace(*NAME_SPACES, 1))
    twin = getattr(module, kind.__name__, None)
    return (kind,) if twin is None or twin is kind else (kind, twin)


def is_kind(instance: object, *kinds: type[Kind]) -> TypeGuard[Kind]:
    """Return whether an object is of one of some classes of Lightning, of whichever name space."""
    return isinstance(instance, tuple(twin for kind in kinds for twin in twins(kind)))


def overrides(instance: object, kind: type, method: str) -> bool:
    """Return whether an object has its own version of a method of a class of Lightning."""
    return getattr(type(instance), method) not in [getattr(twin, method) for twin in twins(kind)]


def register(function: Any, kind: type, adapter: Callable[..., None]) -> None:
    """Let a `singledispatch` function use an adapter for a class of Lightning in both name spaces."""
    for twin in twins(kind):
        function.register(twin, adapter)


def _joint(kind: type) -> Any:
    """Derive a class from both name spaces; its behaviour is that of `lightning.pytorch`."""
    return type(kind.__name__, twins(kind), {"__module__": __name__, "__doc__": kind.__doc__})


if TYPE_CHECKING:
    Callback = pl.Callback
    ModelCheckpoint = callbacks.ModelCheckpoint
else:
    Callback = _joint(pl.Callback)
    ModelCheckpoint = _joint(callbacks.ModelCheckpoint)
