"""Hold signals while something is borrowed, and deliver them afterwards."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

# The signals by which SLURM may requeue, and the one that asks a process to end, which Windows has alone.
NAMES: Final = ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGTERM")
HELD: Final = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))


@contextmanager
def signals_held() -> Iterator[None]:
    """Delay SIGTERM and signals to requeue until the end of the block, so that handlers find the network as it was.

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
    # A handler that was not installed from Python (faulthandler's) could not be put back, and sees no network.
    handlers = {number: handler for number in HELD if callable(handler := signal.getsignal(number))}

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
