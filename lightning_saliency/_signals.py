"""Hold signals while something is borrowed, and deliver them afterwards."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

# An interrupt comes first, so that no other handler is replaced when it can still end the block's beginning. Then the
# signals by which SLURM may requeue, and the one that asks a process to end, which Windows has alone.
NAMES: Final = ("SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP", "SIGTERM")
HELD: Final = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
Handler = Callable[[int, FrameType | None], Any]


class _Held:
    """The handlers that are replaced, and the signals that have come since, of the outermost block."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        # A handler that was not installed from Python (faulthandler's) could not be put back, and sees no network.
        self.handlers: dict[signal.Signals, Handler] = {
            number: handler for number in HELD if callable(handler := signal.getsignal(number))
        }
        self.arrived: list[int] = []

    def hold(self, number: int, frame: FrameType | None) -> None:
        """Note a signal, or let it through in a process that was forked in the block."""
        if os.getpid() == self.owner:
            self.arrived.append(number)
        else:
            signal.signal(number, self.handlers[signal.Signals(number)])
            signal.raise_signal(number)

    def release(self, numbers: list[signal.Signals]) -> None:
        """Put handlers back and deliver what came, each signal once, also where a handler raises."""
        if not numbers:
            return
        last = numbers[-1]
        try:
            signal.signal(last, self.handlers[last])
            if last in self.arrived:
                signal.raise_signal(last)
        finally:
            self.release(numbers[:-1])


_outermost: list[_Held] = []


@contextmanager
def signals_held() -> Iterator[None]:
    """Delay interrupts, SIGTERM and signals to requeue until the end of the block, which handlers find as it was.

    Handlers are replaced rather than signals blocked by `pthread_sigmask`: Python runs a handler in the main thread
    also when another thread (of OpenMP, of TensorBoard's writer) receives the signal, and processes started in the
    block would inherit the mask. Outside of the main thread, where Python runs no handlers, nothing is held. A
    signal that is held several times is delivered once. Of blocks in blocks the outermost one holds.
    """
    if threading.current_thread() is not threading.main_thread() or (_outermost and _outermost[0].owner == os.getpid()):
        yield
        return
    held = _Held()
    for number in held.handlers:
        signal.signal(number, held.hold)
    _outermost[:] = [held]
    try:
        yield
    finally:
        _outermost.clear()
        held.release(list(held.handlers))


def let_interrupts_in() -> None:
    """Raise an interrupt that has come, at a place where everything borrowed is restored as after any exception."""
    if _outermost and signal.SIGINT in _outermost[0].arrived and threading.current_thread() is threading.main_thread():
        held = _outermost[0]
        held.arrived = [number for number in held.arrived if number != signal.SIGINT]
        held.handlers[signal.SIGINT](signal.SIGINT, None)
