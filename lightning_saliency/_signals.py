"""Hold signals while something is borrowed, and deliver them afterwards."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

# SLURM's requeue signal and the one that asks a process to end; Windows has only the second.
HELD: Final = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGTERM") if hasattr(signal, name))


@contextmanager
def signals_held() -> Iterator[None]:
    """Delay SIGUSR1 and SIGTERM until the end of the block, so that their handlers find the network as it was.

    Handlers are replaced rather than signals blocked by `pthread_sigmask`: Python runs a handler in the main thread
    also when another thread (of OpenMP, of TensorBoard's writer) receives the signal, and processes started in the
    block would inherit the mask. Outside of the main thread, where Python runs no handlers, nothing is held. A
    signal that is held several times is delivered once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    owner = os.getpid()
    # A handler that was not installed from Python reads as `None` and could not be put back.
    handlers = {number: handler for number in HELD if (handler := signal.getsignal(number)) is not None}

    def hold(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            arrived.append(number)
        else:  # a process that was forked in the block
            _deliver(number, handlers[signal.Signals(number)])

    for number in handlers:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(arrived):
            signal.raise_signal(number)


def _deliver(number: int, handler: Any) -> None:
    signal.signal(number, handler)
    signal.raise_signal(number)
