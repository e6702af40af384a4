"""Private random state, and generators whose draws depend on a key alone."""

import random
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
import torch
from torch import Tensor

CPU: Final = torch.device("cpu")


@contextmanager
def private_random_state(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Seed torch, Python and NumPy and restore their states at the end, also after an exception.

    Lightning's `isolate_rng` is not used because it restores nothing when its body raises.
    """
    accelerated = device.type not in ("cpu", "meta")
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


def keyed_generator(*key: int | str) -> torch.Generator:
    """Make a CPU generator whose draws depend on the key alone."""
    return torch.Generator("cpu").manual_seed(zlib.crc32(repr(key).encode()))


def keyed_normal(shape: Sequence[int], *key: int | str) -> Tensor:
    """Draw standard normal numbers that depend on shape and key alone, whatever torch's default type and device are."""
    return torch.randn(tuple(shape), generator=keyed_generator(*key), dtype=torch.float32, device="cpu")
