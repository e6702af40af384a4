"""For all images and models, maps are finite, of the images' size, and depend on one image each."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lightning_saliency import explain, methods
from lightning_saliency.methods import IDGI, BlurIntegratedGradients, ExpectedGradients, GuidedIntegratedGradients
from tests.methods.tiny import network, pictures

KINDS = [
    methods.ActiveGradient(),
    methods.ActiveGradient(classes=1, name="active_of_two"),
    BlurIntegratedGradients(3),
    methods.EdgeMap(),
    ExpectedGradients(num_samples=3),
    methods.Gradient(),
    methods.GuidedAbsoluteGrad(3),
    methods.GuidedAbsoluteGrad(3, guide="relative", name="relative"),
    GuidedIntegratedGradients(3),
    IDGI(methods.IntegratedGradients(3)),
    IDGI(GuidedIntegratedGradients(3), name="guided_idgi"),
    IDGI(BlurIntegratedGradients(3), guide="relative", name="blurred_idgi"),
    methods.InactiveGradient(),
    methods.InputXGradient(),
    methods.IntegratedGradients(3),
    methods.IntegratedGradients(3, baseline="blur", guide="relative", name="from_blur"),
    methods.NegativeGradient(),
    methods.PositiveGradient(),
    methods.RandomMap(),
    methods.SmoothGrad(3),
    methods.SmoothGrad(3, aggregation="negative", guide="official", name="negative_guided"),
    methods.SquareGrad(3),
    methods.VarGrad(3),
]


def filled(kinds, images):
    references = torch.cat([images, 0 * images, 1 - images])
    return [kind.with_references(references) for kind in kinds]


def check(maps, images):
    for name, result in maps.items():
        assert result.shape == (len(images), *images.shape[2:]), name
        assert result.dtype == torch.float32, name
        assert torch.isfinite(result).all(), name
        assert (result >= 0).all(), name


def test_every_exported_method_is_here():
    here = {type(kind) for kind in KINDS}
    ours = {getattr(methods, name) for name in methods.__all__}
    modules = {kind.__module__ for kind in here}
    assert here == {kind for kind in ours if kind.__module__ in modules}


@settings(deadline=None, max_examples=12, derandomize=True)
@given(
    channels=st.integers(1, 4),
    size=st.tuples(st.integers(3, 7), st.integers(3, 7)),
    batch=st.integers(1, 3),
    classes=st.sampled_from([1, 2, 10]),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    memory_format=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    constant=st.booleans(),
)
def test_maps_are_finite_and_of_the_images_size(channels, size, batch, classes, dtype, memory_format, constant):
    images = pictures(batch, channels, size)
    images = (0 * images + 0.5 if constant else images).to(dtype).contiguous(memory_format=memory_format)
    model = network(channels, classes).to(dtype)
    check(explain(model, images, None, filled(KINDS, images)), images)


@pytest.mark.parametrize("size", [(9,), (4, 5, 6)])
def test_signals_and_volumes_work_where_no_plane_is_needed(size):
    images = pictures(2, 2, size)
    model = network(2, dims=len(size))
    maps = explain(model, images, None, filled(KINDS, images))
    check(maps, images)
    assert all(result.any() for result in maps.values())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_map_depends_on_its_own_image_only(kind):
    images = pictures(5)
    (method,) = filled([kind], pictures(2, seed=4))
    model, targets = network(), torch.tensor([0, 1, 2, 3, 4])
    together = method(model, images, targets)
    alone = torch.cat([method(model, images[i : i + 1], targets[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-7 * together.abs().max().item())
    for max_batch_size in (1, 2, 64):
        chunked = explain(model, images, targets, [method], max_batch_size)[method.name]
        torch.testing.assert_close(chunked, together, rtol=0, atol=1e-7 * together.abs().max().item())
    channels_last = method(model, images.contiguous(memory_format=torch.channels_last), targets)
    torch.testing.assert_close(channels_last, together, rtol=0, atol=1e-7 * together.abs().max().item())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_attribution_is_what_the_plain_map_is_made_of_and_each_images_own_to_the_last_digits(kind):
    if not kind.has_attribution:
        pytest.skip("has no attribution")
    images = pictures(3)
    (method,) = filled([kind], pictures(2, seed=4))
    model, targets = network(), torch.tensor([0, 1, 2])
    together = method.attribute(model, images, targets)
    assert together.shape == images.shape
    plain = {"guide": None, "aggregation": "signed"} if hasattr(method, "guide") else {}
    maps = dataclasses.replace(method, **plain)(model, images, targets)
    torch.testing.assert_close(together.abs().sum(dim=1).float(), maps)
    for max_batch_size in (1, 2):
        chunked = method.attribute(model, images, targets, max_batch_size=max_batch_size)
        torch.testing.assert_close(chunked, together, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_methods_work_where_gradients_are_off_and_leave_everything_as_it_was(context):
    model = nn.Sequential(network(), nn.Dropout(0.5)).train()
    model[0].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with context():
        images = pictures(2)
        state = torch.get_rng_state()
        maps = explain(model, images, None, filled(KINDS, images))
        assert torch.equal(torch.get_rng_state(), state)
    check(maps, images)
    assert torch.equal(images, pictures(2))
    assert [part.training for part in (model, model[0], model[1])] == [True, False, True]
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_methods_are_frozen_hashable_and_equal_to_their_copies(kind):
    assert kind == dataclasses.replace(kind)
    assert hash(kind) == hash(dataclasses.replace(kind))
    assert kind != dataclasses.replace(kind, name="another")
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind.name = "another"


def test_methods_can_be_written_in_yaml():
    jsonargparse = pytest.importorskip("jsonargparse")
    from collections.abc import Callable
    from typing import Any

    for method in (
        methods.IntegratedGradients(baseline="black", mean=[0.4, 0.5, 0.6], std=[0.2, 0.2, 0.2]),
        methods.ExpectedGradients(8, guide="mask"),
        methods.ActiveGradient(classes=5),
        methods.GuidedAbsoluteGrad(percentile=None, guide=None),
        methods.EdgeMap(),
    ):
        parser = jsonargparse.ArgumentParser(exit_on_error=False)
        parser.add_argument("--method", type=Callable[..., Any])
        options = {field.name: getattr(method, field.name) for field in dataclasses.fields(method)}
        written = {"class_path": f"lightning_saliency.methods.{type(method).__name__}", "init_args": options}
        assert parser.instantiate(parser.parse_object({"method": written})).method == method
