import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import get_context

import pytest

from lightning_saliency._signals import signals_held

KINDS = [signal.SIGUSR1, signal.SIGTERM]


@pytest.fixture
def arrivals() -> Iterator[list[int]]:
    numbers = []
    before = {kind: signal.signal(kind, lambda number, frame: numbers.append(number)) for kind in KINDS}
    yield numbers
    for kind, handler in before.items():
        signal.signal(kind, handler)


@pytest.mark.parametrize("kind", KINDS)
def test_a_signal_waits_for_the_end_of_the_block_and_comes_once(arrivals, kind):
    with signals_held():
        os.kill(os.getpid(), kind)
        os.kill(os.getpid(), kind)
        assert arrivals == []
    assert arrivals == [kind]
    os.kill(os.getpid(), kind)
    assert arrivals == [kind, kind]


def test_a_signal_comes_after_an_exception_too(arrivals):
    def interrupted():
        with signals_held():
            os.kill(os.getpid(), signal.SIGUSR1)
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        interrupted()
    assert arrivals == [signal.SIGUSR1]


def test_blocks_in_blocks_hold_until_the_outermost_ends(arrivals):
    with signals_held():
        with signals_held():
            os.kill(os.getpid(), signal.SIGUSR1)
        assert arrivals == []
    assert arrivals == [signal.SIGUSR1]


def test_a_signal_that_another_thread_receives_is_held_too(arrivals):
    """The kernel picks any thread that does not block a signal, such as OpenMP's."""
    ready, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (ready.set(), stop.wait()))
    thread.start()
    ready.wait()
    with signals_held():
        signal.pthread_kill(thread.ident, signal.SIGUSR1)
        assert arrivals == []
    stop.set()
    thread.join()
    assert arrivals == [signal.SIGUSR1]


def test_outside_of_the_main_thread_nothing_is_held_and_nothing_breaks(arrivals):
    entered = []

    def work():
        with signals_held():
            entered.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [True]


def test_a_process_forked_in_the_block_can_be_ended():
    context = get_context("fork")
    ready = context.Event()

    def work():
        ready.set()
        threading.Event().wait(30)

    with signals_held():
        process = context.Process(target=work)
        process.start()
        ready.wait(10)
        process.terminate()
        process.join(10)
    assert process.exitcode == -signal.SIGTERM


def test_a_handler_that_python_did_not_install_stays():
    faulthandler.register(signal.SIGUSR1, file=sys.__stderr__)
    try:
        with signals_held():
            pass
        os.kill(os.getpid(), signal.SIGUSR1)  # the default action would end this process
    finally:
        faulthandler.unregister(signal.SIGUSR1)


@pytest.mark.parametrize("kind", [signal.SIGUSR2, signal.SIGHUP])
def test_other_signals_to_requeue_are_held_too(kind):
    numbers = []
    before = signal.signal(kind, lambda number, frame: numbers.append(number))
    try:
        with signals_held():
            os.kill(os.getpid(), kind)
            assert numbers == []
        assert numbers == [kind]
    finally:
        signal.signal(kind, before)
