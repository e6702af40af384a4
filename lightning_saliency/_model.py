"""Borrow a model for an explanation and restore it exactly as it was."""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Final
from weakref import WeakKeyDictionary

import torch
import torch.utils.checkpoint
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy

from lightning_saliency._checks import check_model, warn_once
from lightning_saliency._random import private_random_state
from lightning_saliency._signals import let_interrupts_in, signals_held
from lightning_saliency._types import Model

# Larger parameters are not copied for each explanation.
MOST_KEPT: Final = 4096


class _WhileExplaining:
    """A change of the process, not of a thread, that lasts while anyone explains, and is then undone.

    Args:
        change: Makes the change on entering and undoes it on leaving.
    """

    def __init__(self, change: Callable[[], AbstractContextManager[object]]) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._change = change
        self._current: AbstractContextManager[object] = nullcontext()

    def __enter__(self) -> None:
        """Make the change if this is the first of the explanations that run at the same time."""
        with self._lock:
            if not self._count:
                # Constructed here and not earlier: a constructor may make the change already.
                self._current = self._change()
                self._current.__enter__()
            self._count += 1

    def __exit__(self, *error: object) -> None:
        """Undo it if this was the last one."""
        with self._lock:
            self._count -= 1
            if not self._count:
                self._current.__exit__(None, None, None)


class _PlainCall:
    """Stands for the function that runs a part of a network with less memory, and runs it as it is."""

    @staticmethod
    def apply(function: Callable[..., Any], _preserve_rng_state: bool, *args: Any) -> Any:
        return function(*args)


@contextmanager
def _without_gradient_checkpointing() -> Iterator[None]:
    """Run checkpointed parts as they are: in the recomputation hooks and rules of an explanation would be absent.

    Parameters are frozen, so that most of what checkpointing saves is not kept anyway. The results are the same.
    """
    parts = {"CheckpointFunction": _PlainCall, "_checkpoint_hook": lambda _frame: nullcontext()}
    originals = {name: getattr(torch.utils.checkpoint, name) for name in parts if hasattr(torch.utils.checkpoint, name)}
    try:
        for name in originals:
            setattr(torch.utils.checkpoint, name, parts[name])
        yield
    finally:
        for name, original in originals.items():
            setattr(torch.utils.checkpoint, name, original)


_EAGER: Final = _WhileExplaining(lambda: torch.compiler.set_stance("force_eager"))
_WITHOUT_CHECKPOINTS: Final = _WhileExplaining(_without_gradient_checkpointing)
_GUARD: Final = threading.Lock()
_LOCKS: Final[WeakKeyDictionary[nn.Module, Any]] = WeakKeyDictionary()
# Seconds after which a thread that waits for another one looks for an interrupt.
PATIENCE: Final = 0.1


@contextmanager
def explaining(model: Model, *, seed: int = 0) -> Iterator[None]:
    """Borrow a model: evaluation mode, gradients on, parameters frozen, buffers copied, eager, private random state.

    Gradient checkpointing is off, because its recomputation would run without the hooks of an explanation.
    Everything is restored on leaving, also after an exception. Of a plain function nothing can be borrowed except
    gradients and random state: pass an `nn.Module`, or a method of one, where there is one. An interrupt waits until
    the pass that runs has ended, or everything is restored. Threads borrow one module one after the other.
    """
    check_model(model)
    module = _module_of(model)
    with ExitStack() as stack:
        stack.enter_context(signals_held())  # an interrupt in mid-borrowing would leave a part as it is
        if module is not None:
            stack.enter_context(_locked(module))
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(private_random_state(seed, _device_of(module)))
        if "torch._dynamo" in sys.modules:  # nothing can be compiled before it is imported, and importing is slow
            stack.enter_context(_EAGER)
        stack.enter_context(_WITHOUT_CHECKPOINTS)
        if module is not None:
            _check_initialized(module)
            _mention_batch_statistics(module)
            stack.enter_context(_writes_mentioned(module))
            stack.enter_context(_new_buffers_removed(module))
            stack.enter_context(_in_eval_mode(module))
            stack.enter_context(_frozen(module))
            stack.enter_context(_on_copies_of_buffers(module))
            stack.enter_context(_on_copies_of_inference_parameters(module))
        yield


@contextmanager
def _locked(module: nn.Module) -> Iterator[None]:
    """Wait for other threads: what one of them has borrowed would be taken for the module's own state."""
    with _GUARD:
        lock = _LOCKS.setdefault(module, threading.RLock())
    while not lock.acquire(timeout=PATIENCE):
        let_interrupts_in()  # which wait for the end of a borrowing, and nothing is borrowed yet
    try:
        yield
    finally:
        lock.release()


def _module_of(model: Model) -> nn.Module | None:
    owner = getattr(model, "__self__", model)
    return owner if isinstance(owner, nn.Module) else None


def _device_of(module: nn.Module | None) -> torch.device:
    parameter = None if module is None else next(module.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


@contextmanager
def _in_eval_mode(module: nn.Module) -> Iterator[None]:
    """Set flags rather than call `eval`, which modules may override with side effects."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in modes:
            part.training = False
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Turn off gradients of parameters, which explanations never need.

    Sharded parameters are not touched, and flags are restored by name as well as by object: a sharded module may swap
    its parameter objects during a forward.
    """
    parameters = {
        name: parameter
        for name, parameter in module.named_parameters()
        if parameter.requires_grad and parameter.is_leaf and not (is_sharded(parameter) or parameter.is_inference())
    }
    try:
        for parameter in parameters.values():
            parameter.requires_grad_(False)
        yield
    finally:
        current = dict(module.named_parameters())
        for name, parameter in parameters.items():
            parameter.requires_grad_(True)
            current.get(name, parameter).requires_grad_(True)


@contextmanager
def _on_copies_of_buffers(module: nn.Module) -> Iterator[None]:
    """Replace buffers by copies: some modules write to them in evaluation mode too (observers, lazy tables).

    A copy also replaces a buffer made in inference mode, which autograd could not save.
    """
    buffers = [(part, name, buffer) for part in module.modules() for name, buffer in part._buffers.items()]
    copies = {id(buffer): buffer.clone() for _, _, buffer in buffers if buffer is not None}
    try:
        for part, name, buffer in buffers:
            if buffer is not None:
                part._buffers[name] = copies[id(buffer)]
        yield
    finally:
        for part, name, buffer in buffers:
            part._buffers[name] = buffer


@contextmanager
def _new_buffers_removed(module: nn.Module) -> Iterator[None]:
    """Remove the buffers that a first forward registers, which training would register in its own."""
    # Those of a script cannot be registered by its forward.
    names = [(part, {*part._buffers}) for part in module.modules() if isinstance(part._buffers, dict)]
    try:
        yield
    finally:
        for part, before in names:
            for name in part._buffers.keys() - before:
                del part._buffers[name]
                part._non_persistent_buffers_set.discard(name)


@contextmanager
def _writes_mentioned(module: nn.Module) -> Iterator[None]:
    """Restore small parameters that a forward writes, and name large ones, of which no copy is kept."""
    versions = [
        (name, parameter, parameter._version, parameter.detach().clone() if parameter.numel() <= MOST_KEPT else None)
        for name, parameter in module.named_parameters()
        if not (parameter.is_inference() or is_sharded(parameter))
    ]
    try:
        yield
    finally:
        written = [
            (name, parameter, kept) for name, parameter, version, kept in versions if parameter._version != version
        ]
        with torch.no_grad():
            for _, parameter, kept in written:
                if kept is not None:
                    parameter.copy_(kept)
        mention_written([name for name, _, kept in written if kept is None])


def mention_written(names: Sequence[str]) -> None:
    """Warn once about parameters that changed while a network was explained."""
    listed = ", ".join(map(repr, names))
    if listed:
        warn_once(
            f"The network writes its parameters {listed} in evaluation mode, and does so while it is explained too. "
            "They cannot be restored, so that training differs from that without explanations. "
            "Write them in training mode only, or keep them in buffers, which are restored."
        )


@contextmanager
def _on_copies_of_inference_parameters(module: nn.Module) -> Iterator[None]:
    """Replace parameters made in inference mode by copies: autograd could not save them, and their flags are fixed."""
    parameters = [
        (part, name, parameter)
        for part in module.modules()
        for name, parameter in part._parameters.items()
        if parameter is not None and parameter.is_inference()
    ]
    copies = {id(parameter): nn.Parameter(parameter.clone(), requires_grad=False) for _, _, parameter in parameters}
    try:
        for part, name, parameter in parameters:
            part._parameters[name] = copies[id(parameter)]
        yield
    finally:
        for part, name, parameter in parameters:
            part._parameters[name] = parameter


def is_initialized(module: nn.Module) -> bool:
    """Whether no lazy module waits for its first forward to learn its sizes."""
    tensors = (tensor for part in module.modules() for tensor in (*part._parameters.values(), *part._buffers.values()))
    return not any(is_lazy(tensor) for tensor in tensors if tensor is not None)


def _check_initialized(module: nn.Module) -> None:
    if not is_initialized(module):
        raise ValueError(
            "The model must be initialised, but got lazy modules that have not run yet.  Run it once on a batch."
        )


def _mention_batch_statistics(module: nn.Module) -> None:
    """Say that maps depend on the batch, if they do."""
    for name, part in module.named_modules():
        if isinstance(part, _BatchNorm) and part.running_mean is None:
            warn_once(
                f"Layer {name!r} keeps no running statistics (`track_running_stats=False`), so it normalises each "
                "image by all images of its pass. Maps and scores depend on `max_batch_size` and on the other images. "
                "Compare them only at equal batches, or train with `track_running_stats=True`."
            )
            return


def is_sharded(parameter: nn.Parameter) -> bool:
    """Whether every process has a part of a parameter only."""
    return hasattr(parameter, "device_mesh")
