"""Watch collectives as a group such as NCCL's would: it knows no tensors of the CPU."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, distributed
from torch.distributed import distributed_c10d

import lightning_saliency

PRIMITIVES = (
    "all_reduce",
    "broadcast",
    "all_gather",
    "all_gather_into_tensor",
    "gather",
    "reduce",
    "scatter",
    "reduce_scatter_tensor",
    "all_to_all",
    "all_to_all_single",
    "send",
    "recv",
)
OBJECTS = {"all_gather_object", "gather_object", "broadcast_object_list", "scatter_object_list"}
OF_STRATEGIES = {"reduce_boolean_decision", "broadcast", "barrier"}
PACKAGE = str(Path(lightning_saliency.__file__).parent)


@dataclass(frozen=True)
class Collective:
    """One primitive operation: its name, whether it carries sizes, and the bytes that this process received."""

    name: str
    carries_sizes: bool
    received: int
    hook: str


@dataclass
class Ledger:
    """The collectives that this package and torchmetrics started, in order."""

    collectives: list[Collective] = field(default_factory=list)

    def of(self, hook: str) -> list[Collective]:
        return [collective for collective in self.collectives if collective.hook == hook]


@contextmanager
def as_on_nccl() -> Iterator[Ledger]:
    """Refuse tensors of the CPU that are not moved to the strategy's device by the one function meant for that."""
    ledger = Ledger()
    with ExitStack() as stack:
        for name in PRIMITIVES:
            wrapped = _watched(name, getattr(distributed_c10d, name), ledger)
            for module in (distributed_c10d, distributed):
                stack.enter_context(mock.patch.object(module, name, wrapped))
        yield ledger


def _watched(name: str, primitive: Callable[..., Any], ledger: Ledger) -> Callable[..., Any]:
    def watched(*args: Any, **kwargs: Any) -> Any:
        frames = list(_frames())
        ours = any(file.startswith(PACKAGE) or "/torchmetrics/" in file for file, _ in frames)
        tensors = [value for value in args if isinstance(value, Tensor)]
        if ours and not any(_is_allowed(*frame) for frame in frames):
            device = next((tensor.device.type for tensor in tensors), "cpu")
            raise RuntimeError(f"No backend type associated with device type {device}")
        result = primitive(*args, **kwargs)
        if ours:
            ledger.collectives.append(_described(name, args, frames))
        return result

    return watched


def _frames() -> Iterator[tuple[str, str]]:
    frame = sys._getframe(2)
    while frame is not None:
        yield frame.f_code.co_filename, frame.f_code.co_name
        frame = frame.f_back


def _is_allowed(file: str, function: str) -> bool:
    if function in OBJECTS and file.endswith("distributed_c10d.py"):
        return True
    if function in OF_STRATEGIES and "/strategies/" in file:
        return True
    return function == "exchange" and file == f"{PACKAGE}/callbacks/_distributed.py"


def _described(name: str, args: tuple[Any, ...], frames: list[tuple[str, str]]) -> Collective:
    """Tell sizes, which are whole numbers of 64 bits, from contents, which are bytes; one decision is a content."""
    tensor = next(value for value in args if isinstance(value, Tensor))
    is_root = name in ("broadcast", "scatter") and distributed.get_rank() == 0
    received = 0 if is_root else tensor.numel() * tensor.element_size()
    hook = next((function for _, function in frames if function.startswith("on_")), "")
    return Collective(name, tensor.dtype == torch.int64 and name != "all_reduce", received, hook)
