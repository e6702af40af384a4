"""Gradient, its signs, and where it is the highest or lowest of all classes'."""

import pytest
import torch

from lightning_saliency import normalize
from lightning_saliency.methods import (
    ActiveGradient,
    Gradient,
    InactiveGradient,
    InputXGradient,
    NegativeGradient,
    PositiveGradient,
)
from tests.methods.tiny import linear, network, pictures

THREE_CLASSES = torch.tensor(
    [[3, 1, -2, -1, 2, -4, 0, 5], [1, 2, -1, -3, 2, -1, 0, 1], [0, 0, 0, -2, -1, -2, 0, 6]], dtype=torch.float64
)
TWO_CLASSES = torch.tensor([[3, -1, 0.5, -2], [1, -3, 0.5, 1]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (Gradient(), [1 / 3, 2 / 3, 0, 1]),
        (PositiveGradient(), [0.6, 0.2, 0, 1]),
        (NegativeGradient(), [0, 1, 0.5, 0.25]),
        (ActiveGradient(), [1, 0, 0, 1 / 3]),
        (InactiveGradient(), [0, 1, 0.5, 0]),
    ],
)
def test_three_classes_by_hand(method, expected):
    maps = method(linear(THREE_CLASSES), torch.ones(1, 2, 1, 4, dtype=torch.float64), torch.tensor([0]))
    torch.testing.assert_close(normalize(maps), torch.tensor([[expected]], dtype=torch.float32))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (ActiveGradient(), [1, 1 / 3, 0, 0]),
        (PositiveGradient(), [1, 0, 1 / 6, 0]),
        (InactiveGradient(), [0, 0, 0, 1]),
        (NegativeGradient(), [0, 0.5, 0, 1]),
    ],
)
def test_two_classes_by_hand(method, expected):
    maps = method(linear(TWO_CLASSES), torch.ones(1, 1, 1, 4, dtype=torch.float64), torch.tensor([0]))
    torch.testing.assert_close(normalize(maps), torch.tensor([[expected]], dtype=torch.float32))


def test_gradient_is_the_larger_of_its_signs():
    model, images = network(), pictures()
    larger = torch.maximum(PositiveGradient()(model, images), NegativeGradient()(model, images))
    assert torch.equal(Gradient()(model, images), larger)


def test_summed_gradient_is_the_sum_over_channels():
    weight = torch.arange(-6.0, 6.0, dtype=torch.float64).reshape(1, 12).repeat(2, 1)
    maps = Gradient("sum_abs")(linear(weight), pictures(1, size=(2, 2)), torch.tensor([0]))
    torch.testing.assert_close(maps, weight[:1].reshape(1, 3, 2, 2).abs().sum(1).float())


@pytest.mark.parametrize("classes", [1, 2])
def test_of_opposite_classes_active_is_positive_and_inactive_negative(classes):
    weight = torch.randn(1, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model = linear(weight) if classes == 1 else linear(torch.cat([weight, -weight]))
    images, targets = pictures(2, size=(2, 2)), torch.tensor([0, 1])
    assert torch.equal(ActiveGradient()(model, images, targets), PositiveGradient()(model, images, targets))
    assert torch.equal(InactiveGradient()(model, images, targets), NegativeGradient()(model, images, targets))


def test_term_common_to_all_logits_keeps_the_active_support_but_not_the_positive_one():
    shifted = THREE_CLASSES + torch.linspace(-3.3, 3.1, 8, dtype=torch.float64)
    images, targets = torch.ones(1, 8, 1, 1, dtype=torch.float64), torch.tensor([0])

    def support(method, weight):
        return torch.cat([method(linear(weight[:, [i]]), images[:, [i]], targets) > 0 for i in range(8)])

    for method in (ActiveGradient(), InactiveGradient()):
        assert torch.equal(support(method, THREE_CLASSES), support(method, shifted))
    assert not torch.equal(support(PositiveGradient(), THREE_CLASSES), support(PositiveGradient(), shifted))


def test_active_and_inactive_supports_are_disjoint_in_a_channel():
    model, images = network(channels=1), pictures(channels=1)
    active, inactive = ActiveGradient()(model, images), InactiveGradient()(model, images)
    assert active.any()
    assert inactive.any()
    assert not ((active > 0) & (inactive > 0)).any()


def test_active_agrees_with_a_loop_over_classes():
    model, images = network(classes=7), pictures()
    targets = torch.tensor([0, 3, 6, 2])
    inputs = images.clone().requires_grad_()
    logits = model(inputs)
    every = torch.stack([torch.autograd.grad(logits[:, k].sum(), inputs, retain_graph=True)[0] for k in range(7)])
    rows = torch.arange(4)
    of_target = every[targets, rows]
    every[targets, rows] = -torch.inf
    expected = torch.where((of_target > every).all(dim=0), of_target.abs(), 0.0).amax(dim=1)
    torch.testing.assert_close(ActiveGradient()(model, images, targets), expected.float())


def test_comparing_with_fewer_classes_only_adds_pixels():
    model, images = network(classes=7), pictures()
    every, some, one = (ActiveGradient(k)(model, images) for k in ("all", 2, 1))
    assert ((some > 0) | (every == 0)).all()
    assert ((one > 0) | (some == 0)).all()
    assert one.sum() > every.sum()
    assert torch.equal(ActiveGradient(100)(model, images), every)


@pytest.mark.parametrize(("classes", "error"), [(0, ValueError), ("most", TypeError), (1.5, TypeError)])
def test_refuses_numbers_of_classes_that_make_no_sense(classes, error):
    for method in (ActiveGradient, InactiveGradient):
        with pytest.raises(error, match="classes"):
            method(classes=classes)


def test_input_x_gradient_is_complete_on_a_linear_model():
    weight = torch.randn(3, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model, images, targets = linear(weight), pictures(2, size=(2, 2)), torch.tensor([2, 0])
    logits = model(images).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(InputXGradient().attribute(model, images, targets).flatten(1).sum(1), logits)
    signed = InputXGradient(signed=True)(model, images, targets)
    torch.testing.assert_close(signed.flatten(1).sum(1), logits.float())
    assert (InputXGradient()(model, images, targets) >= signed.abs()).all()
