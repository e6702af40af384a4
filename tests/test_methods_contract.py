"""Promises that every exported method makes."""

import contextlib
import copy
import dataclasses
import inspect
import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lightning_saliency import explain, methods
from lightning_saliency.methods import Method, SaliencyMethod
from lightning_saliency.passes.stream import read_streams
from lightning_saliency.targets import ClassLogit
from tests.members import METHOD_ARGUMENTS, METHODS, build_method
from tests.models import NUM_CLASSES, digits, pictures, small_cnn, trained_on_digits
from tests.targets.test_classes import Column
from tests.traces import assert_no_trace, mixed_modes, trace_of

CHUNKS = (1, 3, 16)


@pytest.fixture(params=METHODS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> type:
    return request.param


@pytest.fixture
def method(kind: type) -> Method:
    return build_method(kind)


def explained(method: Method, model: nn.Module, images: Tensor, targets: Any, chunk: int = 64) -> Tensor:
    return explain(model, images, targets, {"maps": method}, max_batch_size=chunk)["maps"]


def in_double_precision(method: Method, model: nn.Module, images: Tensor, targets: Tensor, chunk: int) -> Tensor:
    """Explain without the final rounding to single precision, where the method lets us."""
    model, images = copy.deepcopy(model).double().eval(), images.double()
    if not method.readings:
        return explained(method, model, images, targets, chunk)
    chunks = read_streams(model, images, ClassLogit(targets), method.readings, chunk)
    return torch.cat([method.formula(part, *(values[r] for r in method.readings)) for part, values in chunks])


def assert_same_maps(result: Tensor, expected: Tensor, tolerance: float = 1e-5, near_ties: float = 0.01) -> None:
    """Compare relative to each map's maximum; a threshold may fall between near-ties at a few pixels."""
    scale = expected.abs().flatten(1).amax(dim=1).reshape(-1, *[1] * (expected.ndim - 1))
    apart = (result - expected).abs() > tolerance * scale
    assert apart.float().mean() <= near_ties, f"{int(apart.sum())} of {apart.numel()} values differ"


def test_every_method_of_the_roof_is_enrolled() -> None:
    assert {"Gradient", "SmoothGrad", "GuidedAbsoluteGrad", "GradCAM"} <= {kind.__name__ for kind in METHODS}


def test_maps_are_finite_single_precision_and_of_the_images_size(method: Method) -> None:
    images, targets = pictures(3)
    maps = method(small_cnn(), images, targets)
    assert maps.shape == (3, 8, 8)
    assert maps.dtype == torch.float32
    assert maps.isfinite().all()
    assert not maps.requires_grad


def test_maps_are_the_same_every_time(method: Method) -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    maps = method(model, images, targets)
    torch.rand(1)
    random.random()
    np.random.rand()
    assert torch.equal(method(model, images, targets), maps)


def test_a_model_in_any_mode_is_given_back_and_explained_in_evaluation_mode(method: Method) -> None:
    images, targets = pictures(3)
    model = mixed_modes(small_cnn())
    before = trace_of(model)
    maps = method(model, images, targets)
    assert_no_trace(model, before)
    assert torch.equal(method(small_cnn().eval(), images, targets), maps)


def test_a_model_that_raises_in_mid_explanation_is_given_back(method: Method) -> None:
    class OutOfLuckError(Exception):
        pass

    class Failing(nn.Module):
        def __init__(self, last: int) -> None:
            super().__init__()
            self.network, self.left = small_cnn(), last

        def forward(self, images: Tensor) -> Tensor:
            if self.left == 0:
                raise OutOfLuckError
            self.left -= 1
            return self.network(images)

    for last in (0, 1, 2):
        model = mixed_modes(Failing(last))
        before = trace_of(model)
        with contextlib.suppress(OutOfLuckError):  # a method may not need the model, or not so often
            explained(method, model, *pictures(3), chunk=1)
        assert_no_trace(model, before)


def test_the_callers_tensors_are_unchanged(method: Method) -> None:
    images, targets = pictures(3)
    images.requires_grad_()
    copied_images, copied_targets = images.detach().clone(), targets.clone()
    method(small_cnn(), images, targets)
    assert torch.equal(images, copied_images)
    assert torch.equal(targets, copied_targets)
    assert images.grad is None
    assert images.requires_grad


def test_a_map_is_the_same_alone_in_a_batch_and_in_another_position(method: Method) -> None:
    model, (images, targets) = small_cnn(), pictures(5)
    together = explained(method, model, images, targets)
    alone = torch.cat([explained(method, model, *one) for one in zip(images.split(1), targets.split(1), strict=True)])
    assert_same_maps(alone, together)
    order = torch.tensor([3, 0, 4, 2, 1])
    assert_same_maps(explained(method, model, images[order], targets[order]), together[order])


def test_the_size_of_chunks_does_not_matter(method: Method) -> None:
    model, (images, targets) = small_cnn(), pictures(5)
    expected = explained(method, model, images, targets)
    for chunk in CHUNKS:
        assert_same_maps(explained(method, model, images, targets, chunk), expected)


def test_in_double_precision_the_size_of_chunks_matters_even_less(method: Method) -> None:
    model, (images, targets) = small_cnn(), pictures(5)
    expected = in_double_precision(method, model, images, targets, 64)
    for chunk in CHUNKS:
        result = in_double_precision(method, model, images, targets, chunk)
        # Maps in single precision can round to neighbouring numbers.
        assert_same_maps(result, expected, 1e-9 if result.dtype == torch.float64 else 2e-7, near_ties=0)


@pytest.mark.parametrize("ambient", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_off(method: Method, ambient: Callable[[], torch.no_grad]) -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    expected = method(model, images, targets)
    with ambient():
        assert torch.equal(method(model, images, targets), expected)


def test_it_takes_tensors_made_in_inference_mode(method: Method) -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    with torch.inference_mode():
        copies, copied_targets = images.clone(), targets.clone()
    expected = method(model, images, targets)
    assert torch.equal(method(model, copies, copied_targets), expected)
    with torch.inference_mode():
        assert torch.equal(method(model, copies, copied_targets), expected)


def test_maps_are_not_constant_on_a_trained_network(kind: type) -> None:
    images, labels = digits()
    maps = build_method(kind, channels=1)(trained_on_digits(), images[:12], labels[:12])
    spread = maps.flatten(1).amax(dim=1) - maps.flatten(1).amin(dim=1)
    assert (spread > 0).sum() >= 9, "an image may have a blank map, most must not"


@pytest.fixture(scope="module")
def beside_others() -> dict[str, Tensor]:
    """Explain by all methods at once, and by each of them a second time in another order."""
    model, (images, targets) = small_cnn(), pictures(4)
    first = {f"{kind.__name__}, first": build_method(kind) for kind in METHODS}
    last = {f"{kind.__name__}, last": build_method(kind) for kind in reversed(METHODS)}
    return explain(model, images, targets, first | last)


def test_it_gives_the_same_through_explain_and_beside_others(
    kind: type, method: Method, beside_others: dict[str, Tensor]
) -> None:
    model, (images, targets) = small_cnn(), pictures(4)
    alone = method(model, images, targets)
    assert torch.equal(beside_others[f"{kind.__name__}, first"], alone)
    assert torch.equal(beside_others[f"{kind.__name__}, last"], alone)


def test_without_targets_it_explains_the_predicted_class(method: Method) -> None:
    model, (images, _) = small_cnn().eval(), pictures(4)
    predicted = model(images).argmax(dim=1)
    assert torch.equal(method(model, images, None), method(model, images, predicted))


def test_targets_beyond_the_models_classes_are_refused(method: Method) -> None:
    images, targets = pictures(3)
    model, calls = small_cnn(), []
    model.register_forward_hook(lambda *_: calls.append(1))
    explained(method, model, images, targets)
    if not calls:
        pytest.skip("does not look at the model")
    targets[1] = NUM_CLASSES
    with pytest.raises(ValueError, match=rf"`targets`.* {NUM_CLASSES}"):
        explained(method, model, images, targets)


class Regression(nn.Module):
    """Returns its outputs in a dictionary, as networks that are no classifiers do."""

    def __init__(self) -> None:
        super().__init__()
        self.network = small_cnn()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"values": self.network(images)}


def test_it_explains_any_target_of_any_output_unless_it_compares_classes(method: Method) -> None:
    images, _ = pictures(3)
    model, target = Regression(), Column(1, 3)
    if any(reading.statistic.rivals is not None for reading in method.readings):
        with pytest.raises(TypeError, match=rf"rivals.*'{method.name}'.*Column"):
            method(model, images, target)
        return
    expected = method(model.network, images, torch.ones(3, dtype=torch.int64))
    assert torch.equal(method(model, images, target), expected)
    assert_same_maps(explained(method, model, images, target, chunk=2), expected)


def test_it_is_frozen_equal_by_value_and_hashable(kind: type, method: Method) -> None:
    assert dataclasses.is_dataclass(kind)
    assert not any(dataclasses.is_dataclass(base) for base in kind.__mro__[1:]), "jsonargparse needs a plain base"
    assert not hasattr(method, "__dict__") or set(vars(method)) <= {field.name for field in dataclasses.fields(kind)}
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.name = "other"
    twin, other = dataclasses.replace(method), dataclasses.replace(method, name="other")
    assert twin == method
    assert hash(twin) == hash(method)
    assert other != method
    assert other.name == "other"
    assert repr(method).startswith(kind.__name__ + "(")
    assert f"name={method.name!r}" in repr(method)


def test_its_last_field_is_its_name_and_names_are_distinct(kind: type) -> None:
    fields = dataclasses.fields(kind)
    assert fields[-1].name == "name"
    names = [build_method(other).name for other in METHODS]
    assert names.count(fields[-1].default) == 1


def test_it_pickles_and_copies(method: Method) -> None:
    model, (images, targets) = small_cnn(), pictures(2)
    expected = method(model, images, targets)
    for twin in (pickle.loads(pickle.dumps(method)), copy.copy(method), copy.deepcopy(method)):
        assert type(twin) is type(method)
        assert repr(twin) == repr(method)
        assert torch.equal(twin(model, images, targets), expected)


def test_its_repr_can_be_evaluated(kind: type, method: Method) -> None:
    if kind.__name__ in METHOD_ARGUMENTS:
        pytest.skip("holds tensors")
    assert eval(repr(method), {name: getattr(methods, name) for name in methods.__all__}) == method


def test_it_can_be_written_in_a_configuration_file(kind: type, method: Method) -> None:
    from jsonargparse import ArgumentParser

    if kind.__name__ in METHOD_ARGUMENTS:
        pytest.skip("holds tensors")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--methods", type=list[SaliencyMethod])
    options = {field.name: getattr(method, field.name) for field in dataclasses.fields(kind)} | {"name": "mine"}
    written = [{"class_path": f"lightning_saliency.methods.{kind.__name__}", "init_args": options}]
    parsed = parser.parse_object({"methods": written})
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    assert instantiate(parsed).methods == [dataclasses.replace(method, name="mine")]


def test_it_satisfies_the_protocol_and_says_what_it_is(kind: type, method: Method) -> None:
    assert isinstance(method, Method)
    assert inspect.signature(method).parameters.keys() >= {"model", "images", "targets"}
