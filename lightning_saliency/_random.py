"""Private random state, and generators whose draws depend on a key alone."""

import random
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

CPU: Final = torch.device("cpu")


class _StatesBefore:
    """The states that the process's generators had before the first of the uses that overlap in time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._count = 0
        self._states: dict[torch.device, Any] = {}

    @contextmanager
    def restored(self, device: torch.device) -> Iterator[None]:
        """Note the states if this is the first use, and restore them if it is the last one."""
        with self._lock:
            self._count += 1
            for place in (CPU, device):
                if place not in self._states:
                    self._states[place] = _state_of(place)
        try:
            yield
        finally:
            with self._lock:
                self._count -= 1
                while self._states and not self._count:
                    _restore(*self._states.popitem())


# Generators belong to the process, not to a thread.
_STATES_BEFORE: Final = _StatesBefore()


@contextmanager
def private_random_state(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Seed torch, Python and NumPy and restore their states at the end, also after an exception.

    Where uses in several threads overlap, the last one to end restores the states before the first. Lightning's
    `isolate_rng` is not used because it restores nothing when its body raises.
    """
    with _STATES_BEFORE.restored(device), _seeded(seed, device):
        yield


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    accelerated = _is_accelerator(device)
    devices = [device.index or 0] if accelerated else []
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices, device_type=device.type if accelerated else "cuda"):
            torch.default_generator.manual_seed(seed)
            if accelerated:
                torch.get_device_module(device).manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def _is_accelerator(device: torch.device) -> bool:
    return device.type not in ("cpu", "meta")


def _state_of(device: torch.device) -> Any:
    if _is_accelerator(device):
        return torch.get_device_module(device).get_rng_state(device)
    return torch.get_rng_state(), random.getstate(), np.random.get_state()


def _restore(device: torch.device, state: Any) -> None:
    if _is_accelerator(device):
        torch.get_device_module(device).set_rng_state(state, device)
        return
    torch_state, python_state, numpy_state = state
    torch.set_rng_state(torch_state)
    random.setstate(python_state)
    np.random.set_state(numpy_state)


def keyed_generator(*key: int | str) -> torch.Generator:
    """Make a CPU generator whose draws depend on the key alone."""
    return torch.Generator("cpu").manual_seed(zlib.crc32(repr(key).encode()))


def keyed_normal(shape: Sequence[int], *key: int | str) -> Tensor:
    """Draw standard normal numbers that depend on shape and key alone, whatever torch's default type and device are."""
    return torch.randn(tuple(shape), generator=keyed_generator(*key), dtype=torch.float32, device="cpu")
