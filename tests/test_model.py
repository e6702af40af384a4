"""A model is borrowed for an explanation and restored exactly as it was."""

import copy
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lightning_saliency import explain
from lightning_saliency.methods import FullGrad, GradCAM, Gradient, GuidedIntegratedGradients, ScoreCAM, SmoothGrad
from tests.models import NUM_CLASSES, linear_model, pictures, small_cnn
from tests.traces import assert_no_trace, chance, mixed_modes, trace_of

IMAGES, TARGETS = pictures(2)


class BoomError(Exception):
    """Raised by models that fail."""


def while_explaining(model: Any) -> Callable[[Callable[[], object]], None]:
    """Run the decorated function at once, in the middle of an explanation."""

    def run(function: Callable[[], object]) -> None:
        def method(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
            function()
            return images.mean(dim=1)

        explain(model, IMAGES, TARGETS, {"method": method})

    return run


def test_modules_are_in_evaluation_mode_inside_and_in_their_own_modes_afterwards() -> None:
    model = mixed_modes(small_cnn())
    before = trace_of(model)

    @while_explaining(model)
    def look() -> None:
        assert not any(module.training for module in model.modules())
        assert not any(parameter.requires_grad for parameter in model.parameters())

    assert_no_trace(model, before)


def test_frozen_batch_norm_stays_frozen() -> None:
    model = small_cnn().train()
    model[1].eval()

    @while_explaining(model)
    def look() -> None:
        model(pictures(2)[0])

    assert [model[1].training, model[4].training] == [False, True]


def test_a_partly_frozen_model_keeps_its_frozen_part() -> None:
    model = small_cnn()
    model[0].requires_grad_(False)

    @while_explaining(model)
    def look() -> None:
        assert not model[3].weight.requires_grad

    assert not model[0].weight.requires_grad
    assert model[3].weight.requires_grad


def test_modules_that_override_train_are_not_asked_to_change_mode() -> None:
    class Backbone(nn.Linear):
        def train(self, mode: bool = True) -> "Backbone":
            raise AssertionError("side effect")

    model = nn.Sequential(nn.Flatten(), Backbone(12, 2))
    model[1].training = True

    @while_explaining(model)
    def look() -> None:
        assert not model[1].training

    assert model[1].training


def test_shared_modules_and_tied_parameters_are_given_back_once() -> None:
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    model[2].weight = layer.weight
    before = trace_of(model)

    @while_explaining(model)
    def look() -> None:
        assert not layer.weight.requires_grad

    assert_no_trace(model, before)


def test_a_parameter_that_is_swapped_inside_gets_its_flag_back_by_name() -> None:
    """Sharded modules put other parameter objects in place during a forward."""
    model = small_cnn()
    original = model[0].weight

    @while_explaining(model)
    def look() -> None:
        model[0].weight = nn.Parameter(original.detach().clone(), requires_grad=False)

    assert model[0].weight.requires_grad
    assert original.requires_grad


def test_everything_is_given_back_after_an_exception() -> None:
    model = mixed_modes(small_cnn())
    before = trace_of(model)

    def fail() -> None:
        torch.rand(3)
        random.random()
        np.random.rand()
        raise BoomError

    with pytest.raises(BoomError):
        while_explaining(model)(fail)
    assert_no_trace(model, before)


def test_nested_borrowing_gives_back_to_the_outer_borrower_first() -> None:
    model = mixed_modes(small_cnn())
    before = trace_of(model)

    def fail() -> None:
        raise BoomError

    @while_explaining(model)
    def explain_again() -> None:
        inside = trace_of(model)
        with pytest.raises(BoomError):
            while_explaining(model)(fail)
        assert_no_trace(model, inside)

    assert_no_trace(model, before)


def test_random_numbers_inside_do_not_depend_on_those_outside() -> None:
    draws = []

    def draw() -> None:
        draws.append([torch.rand(()).item(), random.random(), float(np.random.rand())])

    while_explaining(small_cnn())(draw)
    torch.rand(5)
    random.random()
    np.random.rand(2)
    while_explaining(small_cnn())(draw)
    assert draws[0] == draws[1]


def test_random_numbers_outside_continue_as_if_nothing_had_been_drawn() -> None:
    before = chance()

    @while_explaining(lambda images: images)
    def draw() -> None:
        torch.rand(7)
        random.random()
        np.random.rand()

    assert chance() == before


@pytest.mark.parametrize("ambient", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_gradients_are_on_inside_whatever_is_around(ambient: Callable[[], torch.no_grad]) -> None:
    model = small_cnn()
    with ambient():
        modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

        @while_explaining(model)
        def look() -> None:
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()

        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == modes


class Counting(nn.Module):
    """Counts its calls in a buffer, in evaluation mode too, as observers of quantisation do."""

    def __init__(self, *, in_place: bool) -> None:
        super().__init__()
        self.in_place = in_place
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", None)
        self.layer = nn.Linear(12, 2)

    def forward(self, images: Tensor) -> Tensor:
        if self.in_place:
            self.calls += 1
        else:
            self.calls = self.calls + 1
        self.last = images.mean()
        return self.layer(images.flatten(1)) * (1 + self.calls)


@pytest.mark.parametrize("in_place", [True, False])
def test_what_the_forward_writes_into_buffers_is_forgotten(in_place: bool) -> None:
    model = Counting(in_place=in_place)
    images, targets = pictures(3, size=2)
    before = trace_of(model)
    Gradient()(model, images, targets % 2, max_batch_size=1)
    assert_no_trace(model, before)
    assert model.last is None


def test_buffers_shared_by_modules_stay_shared_inside() -> None:
    first, second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    second.running_mean = first.running_mean
    model = nn.Sequential(first, second)

    @while_explaining(model)
    def look() -> None:
        assert first.running_mean is second.running_mean

    assert first.running_mean is second.running_mean


class Positional(nn.Module):
    """Makes a table when it is first needed, in whatever mode that is, and multiplies by it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", None, persistent=False)
        self.layer = nn.Linear(12, 2)

    def forward(self, images: Tensor) -> Tensor:
        if self.table is None:
            self.table = torch.linspace(0.5, 1.5, 12)
        return self.layer((images.flatten(1) * self.table).sigmoid() * self.table)


def test_a_lazily_made_buffer_can_be_made_by_the_explanation_in_inference_mode() -> None:
    model, (images, targets) = Positional(), pictures(2, size=2)
    with torch.inference_mode():
        maps = Gradient()(model, images, targets % 2)
    model(images).sum().backward()
    assert torch.equal(Gradient()(model, images, targets % 2), maps)


def test_a_buffer_that_was_made_in_inference_mode_can_be_explained() -> None:
    model, (images, targets) = Positional(), pictures(2, size=2)
    expected = Gradient()(copy.deepcopy(model), images, targets % 2)
    with torch.inference_mode():
        model(images)
        table = model.table
        maps = Gradient()(model, images, targets % 2)
    assert torch.equal(maps, expected)
    assert model.table is table


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_model_runs_eagerly_so_that_hooks_fire(backend: str) -> None:
    images, targets = pictures(2)
    model = small_cnn().eval()
    expected = GradCAM("3")(model, images, targets)
    compiled = torch.compile(model, backend=backend)
    compiled(images)
    mixed_modes(compiled)
    before = trace_of(compiled)
    assert torch.equal(GradCAM("3")(compiled, images, targets), expected)
    assert torch.equal(GradCAM()(compiled, images, targets), GradCAM()(model, images, targets))
    assert_no_trace(compiled, before)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_compiled_in_place_is_compiled_again_afterwards() -> None:
    compilations = []

    def backend(graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> Callable[..., object]:
        compilations.append(graph)
        return graph.forward

    images, targets = pictures(2)
    model = small_cnn().eval()
    expected = Gradient()(model, images, targets)
    model.compile(backend=backend)
    assert torch.equal(Gradient()(model, images, targets), expected)
    assert not compilations
    model(images)
    assert compilations


def test_a_plain_function_can_be_explained() -> None:
    weight = torch.randn(2, 12)
    images, targets = pictures(3, size=2)
    maps = Gradient()(lambda batch: batch.flatten(1) @ weight.T, images, targets % 2)
    assert torch.equal(maps, Gradient()(linear_model(weight), images, targets % 2))


def test_a_bound_method_borrows_the_module_it_belongs_to() -> None:
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = small_cnn()

        def classify(self, images: Tensor) -> Tensor:
            assert not self.network.training
            return self.network(images)

    model = mixed_modes(Classifier())
    before = trace_of(model)
    images, targets = pictures(2)
    maps = SmoothGrad(2)(model.classify, images, targets)
    assert torch.equal(maps, SmoothGrad(2)(model.network, images, targets))
    assert_no_trace(model, before)


@pytest.mark.parametrize("method", [Gradient(), GradCAM(), FullGrad(), ScoreCAM(), GuidedIntegratedGradients(2)])
def test_one_logit_is_the_difference_of_two(method: Callable[..., Tensor]) -> None:
    images, targets = pictures(4)[0], torch.tensor([0, 1, 1, 0])
    one = small_cnn(num_classes=1)
    two = copy.deepcopy(one)
    head = nn.Linear(6, 2)
    head.weight.data = torch.cat([-one[-1].weight, one[-1].weight]) / 2
    head.bias.data = torch.cat([-one[-1].bias, one[-1].bias]) / 2
    two[-1] = head
    torch.testing.assert_close(method(one, images, targets), method(two, images, targets), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        ({"logits": torch.zeros(2, 3)}, TypeError, r"dict with keys \['logits'\]"),
        ((torch.zeros(2, 3),), TypeError, "tuple"),
        (torch.zeros(2), ValueError, r"\(B, K\).* 2.*\(2,\)"),
        (torch.zeros(2, 3, 1, 1), ValueError, r"\(2, 3, 1, 1\)"),
        (torch.zeros(1, 3), ValueError, r"\(1, 3\)"),
    ],
)
def test_what_is_not_a_row_of_logits_per_image_is_refused(output: object, error: type[Exception], message: str) -> None:
    for targets in (None, torch.tensor([0, 1])):
        with pytest.raises(error, match=message):
            Gradient()(lambda images: output, torch.zeros(2, 3, 4, 4), targets)


class Compilations:
    """A network compiled in place, and how often it was compiled."""

    def __init__(self) -> None:
        self.count = 0
        # Compilations of other tests count towards the limit of the code that they share.
        torch._dynamo.reset()
        self.network = small_cnn().eval()
        self.network.compile(backend=self._compile)

    def _compile(self, graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> Callable[..., object]:
        self.count += 1
        return graph.forward


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("first_leaves_first", [True, False])
def test_overlapping_explanations_of_two_threads_leave_compilation_as_it_was(first_leaves_first: bool) -> None:
    entered = {name: threading.Event() for name in ("first", "second")}
    may_leave = {name: threading.Event() for name in ("first", "second")}
    compiled = Compilations()

    def explain_slowly(name: str) -> None:
        @while_explaining(small_cnn())
        def wait() -> None:
            entered[name].set()
            assert may_leave[name].wait(60)
            compiled.network(IMAGES)

    threads = {name: threading.Thread(target=explain_slowly, args=(name,)) for name in entered}
    for name, thread in threads.items():
        thread.start()
        assert entered[name].wait(60)
    for name in threads if first_leaves_first else reversed(threads):
        may_leave[name].set()
        threads[name].join(60)
        assert not compiled.count, "both were eager until they left"
    compiled.network(IMAGES)
    assert compiled.count


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_explanation_inside_another_leaves_it_eager() -> None:
    compiled = Compilations()

    @while_explaining(small_cnn())
    def explain_again() -> None:
        while_explaining(small_cnn())(lambda: None)
        compiled.network(IMAGES)
        assert not compiled.count

    compiled.network(IMAGES)
    assert compiled.count


class Normalising(nn.Module):
    """Works on its input in place, as careless preprocessing does."""

    def __init__(self) -> None:
        super().__init__()
        self.network = small_cnn()

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.sub_(0.5).div_(0.25))


@pytest.mark.parametrize("method", [Gradient(), GradCAM(), SmoothGrad(2)])
def test_a_model_that_works_in_place_leaves_the_images_alone(method: Callable[..., Tensor]) -> None:
    model, (images, _) = Normalising(), pictures(3)
    copies = images.clone()
    maps = method(model, images)
    assert torch.equal(images, copies)
    predicted = model.eval()(images.clone()).argmax(dim=1)
    assert torch.equal(maps, method(model, images, predicted))


def test_a_norm_without_running_statistics_is_mentioned_once() -> None:
    def model(norm: nn.Module) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.Flatten(), nn.Linear(144, NUM_CLASSES))

    images, targets = pictures(4)
    without = model(nn.BatchNorm2d(4, track_running_stats=False))
    with pytest.warns(UserWarning, match=r"'1' keeps no running statistics.*`max_batch_size`"):
        maps = Gradient()(without, images, targets)
    # The reason, and no second warning.
    assert not torch.allclose(maps, Gradient()(without, images, targets, max_batch_size=2))
    for norm in (nn.BatchNorm2d(4), nn.InstanceNorm2d(4)):
        Gradient()(model(norm), images, targets)


def test_threads_explain_one_model_one_after_the_other() -> None:
    model, kinds = mixed_modes(small_cnn()), (Gradient, GradCAM, SmoothGrad, FullGrad, ScoreCAM)
    expected, before = [kind()(model, IMAGES, TARGETS) for kind in kinds], trace_of(model)
    with ThreadPoolExecutor(4) as pool:
        maps = list(pool.map(lambda kind: kind()(model, IMAGES, TARGETS), kinds * 6))
    assert all(torch.equal(one, expected[place % len(kinds)]) for place, one in enumerate(maps))
    before["chance"] = trace_of(model)["chance"]  # type checks of containers in tests draw Python's random numbers
    assert_no_trace(model, before)
