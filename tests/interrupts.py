"""Interrupts at chosen bytecodes of a call, as Ctrl-C could come at any of them."""

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interrupter:
    """Counts the bytecodes that run in a block, in all Python code, and sends SIGINT at one of them."""

    def __init__(self, place: int | None = None) -> None:
        self.place = place
        self.count = 0

    def __enter__(self) -> "Interrupter":
        self.before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.before)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            if self.count == self.place:
                self.count += 1
                signal.raise_signal(signal.SIGINT)
            self.count += 1
        return self._trace


def bytecodes_of(run: Callable[[], object]) -> int:
    """Count the bytecodes of a call."""
    with Interrupter() as interrupter:
        run()
    return interrupter.count


def interrupted(run: Callable[[], object], place: int) -> bool:
    """Send SIGINT at one bytecode of a call, and return whether it was raised, or the call had ended before.

    Calls differ by some bytecodes, since collections of garbage and type checks of containers run Python code as well.
    """
    interrupter = Interrupter(place)
    try:
        with interrupter:
            run()
    except KeyboardInterrupt:
        return True
    return interrupter.count <= place
