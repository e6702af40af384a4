"""A fault or an interrupt at every moment of a call leaves nothing."""

import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_saliency import SaliencyMonitor, explain, follow, score
from lightning_saliency.methods import FullGrad, GradCAM, Gradient, ScoreCAM
from lightning_saliency.metrics import Deletion, ParameterRandomization
from tests.callbacks.training import Classifier, assert_identical, fit, trace
from tests.interrupts import bytecodes_of, interrupted
from tests.members import METHODS, METRICS, build_method, build_metric, needs_of
from tests.models import pictures, small_cnn
from tests.traces import assert_no_trace, mixed_modes, trace_of

# Seconds for one call in a thread.
PATIENCE = 60


class OutOfLuckError(Exception):
    """The fault."""


def counted_forwards(run: Callable[[nn.Module], object]) -> int:
    """Count with a plain function's list, which explaining restores otherwise."""
    calls: list[int] = []
    model = mixed_modes(small_cnn())
    handle = model.register_forward_hook(lambda *_: calls.append(1))
    run(model)
    handle.remove()
    return len(calls)


def fails_at(model: nn.Module, place: int) -> Any:
    calls: list[int] = []

    def raise_late(*_: Any) -> None:
        calls.append(1)
        if len(calls) == place:
            raise OutOfLuckError

    return model.register_forward_pre_hook(raise_late)


@pytest.mark.parametrize("kind", [*METHODS, *METRICS], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.long)])
def test_a_fault_at_any_forward_leaves_no_trace(kind: type, stride: int, tried: Callable[[str, int], None]) -> None:
    images, targets = pictures(3)
    maps = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))

    def run(model: nn.Module) -> None:
        if kind in METHODS:
            explain(model, images, targets, {"it": build_method(kind)}, max_batch_size=1)
        else:
            metric = build_metric(kind)
            needs = needs_of(metric, maps)
            score(model, images, {"maps": maps}, targets, {"it": metric}, max_batch_size=1, **needs)

    count = counted_forwards(run)
    places = range(1, count + 1, stride)
    for place in places:
        model = mixed_modes(small_cnn())
        handle = fails_at(model, place)
        before = trace_of(model)
        with pytest.raises(OutOfLuckError):
            run(model)
        before["chance"] = trace_of(model)["chance"]  # type checks of containers draw random numbers
        assert_no_trace(model, before)
        handle.remove()
    tried("faults in forwards", len(places))


IMAGES, TARGETS = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1])
# Made once: an interrupt in a constructor is one in torch's code, where nothing is borrowed yet.
DELETION, RANDOMIZATION = Deletion(2), ParameterRandomization(num_stages=1)
CALLS: dict[str, Callable[[nn.Module], object]] = {
    "cam": lambda model: explain(model, IMAGES, TARGETS, [GradCAM("0")]),
    "many": lambda model: explain(model, IMAGES, TARGETS, [Gradient(), ScoreCAM("0"), FullGrad()]),
    "score": lambda model: score(model, IMAGES, {"maps": IMAGES[:, 0]}, TARGETS, [DELETION]),
    "randomised": lambda model: score(
        model,
        IMAGES,
        {"gradient": IMAGES[:, 0]},
        TARGETS,
        [RANDOMIZATION],
        methods=[Gradient()],
    ),
    "follow": lambda model: follow(model, IMAGES, TARGETS, ["level"]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("number", [30, pytest.param(5000, marks=pytest.mark.long)])
def test_an_interrupt_at_any_bytecode_leaves_no_trace_and_is_not_lost(
    call: Callable[[nn.Module], object], number: int, tried: Callable[[str, int], None]
) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    call(model)
    before, count = trace_of(model), bytecodes_of(lambda: call(model))
    places = range(0, count, max(1, count // number))
    for place in places:
        assert interrupted(lambda: call(model), place), place
        before["chance"] = trace_of(model)["chance"]
        assert_no_trace(model, before)
    thread = threading.Thread(target=call, args=(model,), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "an interrupt has left the lock of the network closed"
    tried("interrupts at a bytecode", len(places))


@pytest.mark.parametrize("number", [3, pytest.param(60, marks=pytest.mark.long)])
def test_training_is_the_same_wherever_an_explanation_of_it_fails(
    number: int, tried: Callable[[str, int], None]
) -> None:
    expected, faults = trace(*fit()), 0
    for place in range(1, number + 1):
        method = Fragile(place)
        monitor = SaliencyMonitor({"fragile": method}, [Deletion(2)], num_images=6, cues=(), num_panels=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run, module = fit([monitor], Classifier)
        assert_identical(trace(run, module), expected)
        faults += method.faults
    tried("faults of a method in a training", faults)
    assert faults


class Fragile:
    """Raises in every so many calls, after it has used the network."""

    def __init__(self, period: int) -> None:
        self.period, self.calls, self.faults = period, 0, 0

    def __call__(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        self.calls += 1
        maps = GradCAM()(model, images, targets)
        if self.calls % self.period == 0:
            self.faults += 1
            raise OutOfLuckError
        return maps
