import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import get_context

import pytest
import torch
from torch import nn

from lightning_saliency import explain, score
from lightning_saliency._model import explaining
from lightning_saliency._signals import let_interrupts_in, signals_held
from lightning_saliency.methods import FullGrad, GradCAM, Gradient, ScoreCAM
from lightning_saliency.metrics import Deletion, ParameterRandomization
from tests.interrupts import bytecodes_of, interrupted
from tests.traces import assert_no_trace, trace_of

KINDS = [signal.SIGUSR1, signal.SIGTERM, signal.SIGINT]


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


def tiny() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))


IMAGES, TARGETS = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1])
# Made once: an interrupt in a constructor is one in torch's code, where nothing is borrowed yet.
METRICS = [Deletion(2), ParameterRandomization(num_stages=1)]
CALLS = {
    "explain": lambda model: explain(model, IMAGES, TARGETS, [GradCAM("0"), ScoreCAM("0"), FullGrad()], 1),
    "score": lambda model: score(
        model,
        IMAGES,
        {"gradient": IMAGES[:, 0]},
        TARGETS,
        METRICS,
        methods=[Gradient()],
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_interrupt_at_any_moment_leaves_no_trace_and_is_not_lost(call):
    """At some bytecodes of all Python code; `make attack` tries more."""
    model = tiny()
    call(model)
    before, handlers = trace_of(model), [signal.getsignal(kind) for kind in KINDS]
    count = bytecodes_of(lambda: call(model))
    for place in range(3, count, count // 40):
        assert interrupted(lambda: call(model), place), place
        assert_no_trace(model, before)
        assert [signal.getsignal(kind) for kind in KINDS] == handlers


def test_a_long_call_ends_with_the_pass_in_which_an_interrupt_comes():
    passes = []

    class Interrupted(nn.Module):
        def forward(self, images):
            passes.append(1)
            if len(passes) == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return images.flatten(1)[:, :2]

    model = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        explain(model, IMAGES.repeat(50, 1, 1, 1), TARGETS.repeat(50), [Gradient()], 1)
    assert len(passes) == 3


def test_an_interrupt_let_in_is_raised_once(arrivals):
    let_interrupts_in()
    with signals_held():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        let_interrupts_in()
        assert arrivals == [signal.SIGINT]
        let_interrupts_in()
    assert arrivals == [signal.SIGINT, signal.SIGTERM]


def held_through(*kinds):
    with signals_held():
        for kind in kinds:
            os.kill(os.getpid(), kind)


def test_all_signals_come_and_all_handlers_are_back_where_one_raises():
    numbers, before = [], signal.getsignal(signal.SIGTERM)

    def end(number, frame):
        numbers.append(number)
        raise SystemExit

    signal.signal(signal.SIGTERM, end)
    interrupting = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt) as error:
            held_through(signal.SIGTERM, signal.SIGINT)
        assert numbers == [signal.SIGTERM]
        assert isinstance(error.value.__context__, SystemExit)
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == (end, interrupting)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_interrupt_where_a_network_is_locked_leaves_it_open_for_other_threads():
    model = nn.Linear(2, 2)

    def borrow():
        with explaining(model):
            pass

    # The lock is taken among the first bytecodes.
    for place in range(500):
        assert interrupted(borrow, place), place
    thread = threading.Thread(target=borrow, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def test_who_waits_for_another_thread_can_be_interrupted():
    model, entered, waits = nn.Linear(2, 2), threading.Event(), threading.Event()

    def hold():
        with explaining(model):
            entered.set()
            waits.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(30)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt), explaining(model):
        pass
    waits.set()
    thread.join()
    with explaining(model):
        pass
