"""Equal points share their passes, whatever is read off them."""

import pytest
import torch
from torch import Tensor, nn

from lightning_saliency import explain
from lightning_saliency.methods import GradCAM, Gradient, GuidedAbsoluteGrad, Method, SmoothGrad
from lightning_saliency.passes.points import Clean, Noise
from lightning_saliency.passes.statistics import Mean, Variance
from lightning_saliency.passes.stream import Reading, read_streams
from lightning_saliency.targets import ClassLogit
from tests.models import pictures, small_cnn


class Counting:
    """Counts the images in every forward and backward pass of a network."""

    def __init__(self) -> None:
        self.network = small_cnn()
        self.forwards: list[int] = []
        self.backwards: list[int] = []
        self.network.register_forward_hook(self._forward)

    def _forward(self, _module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        self.forwards.append(len(inputs[0]))
        if output.requires_grad:
            output.register_hook(lambda gradient: self.backwards.append(len(gradient)))


@pytest.mark.parametrize(
    ("methods", "passes"),
    [
        ([Gradient()], 1),
        ([Gradient(), Gradient("sum_abs", name="sum"), GradCAM("7"), GradCAM("3", name="early")], 1),
        ([SmoothGrad(5)], 5),
        ([SmoothGrad(5), GuidedAbsoluteGrad(5), GuidedAbsoluteGrad(5, percentile=0.5, name="half")], 5),
        ([SmoothGrad(5), SmoothGrad(5, seed=1, name="other")], 10),
        ([SmoothGrad(5), SmoothGrad(5, 0.2, name="other"), SmoothGrad(3, name="fewer")], 13),
        ([Gradient(), SmoothGrad(4), GradCAM("7")], 5),
    ],
)
def test_methods_at_equal_points_cost_as_much_as_one(methods: list[Method], passes: int) -> None:
    model, (images, targets) = Counting(), pictures(6)
    explain(model.network, images, targets, methods)
    assert sum(model.forwards) == sum(model.backwards) == 6 * passes


def test_finding_the_last_spatial_layer_costs_one_more_image_once() -> None:
    model, (images, targets) = Counting(), pictures(6)
    explain(model.network, images, targets, [Gradient(), GradCAM(), GradCAM(name="again")], max_batch_size=4)
    assert model.forwards == model.backwards == [1, 4, 2]


def test_predicting_the_target_costs_a_forward_without_a_backward() -> None:
    model, (images, _) = Counting(), pictures(6)
    explain(model.network, images, None, [Gradient()], max_batch_size=4)
    assert model.forwards == [4, 2, 4, 2]
    assert model.backwards == [4, 2]


@pytest.mark.parametrize(
    ("batch", "most", "forwards"),
    [
        (3, 64, [15]),
        (3, 7, [6, 6, 3]),
        (3, 3, [3] * 5),
        (3, 2, [2] * 5 + [2, 2, 1]),
        (1, 1, [1] * 5),
        (5, 4, [4] * 5 + [4, 1]),
        (4, 5, [4] * 5),
    ],
)
def test_a_pass_holds_as_many_steps_of_a_small_batch_as_fit(batch: int, most: int, forwards: list[int]) -> None:
    model, (images, targets) = Counting(), pictures(batch)
    explain(model.network, images, targets, [SmoothGrad(5)], max_batch_size=most)
    assert model.forwards == forwards
    assert max(model.forwards) <= most


def test_the_model_is_fed_each_images_points_in_order() -> None:
    """Step after step, and within a step image after image, so that statistics fold in the same order."""
    images, targets = pictures(2)
    model, fed = small_cnn(), []
    model.register_forward_pre_hook(lambda _module, inputs: fed.append(inputs[0].detach().clone()))
    SmoothGrad(3)(model, images, targets)
    expected = torch.cat([Noise(3, 0.15, 0).sample(images, step).inputs for step in range(3)])
    assert torch.equal(torch.cat(fed), expected)


def test_every_reading_has_its_value_and_chunks_come_in_order() -> None:
    model, (images, targets) = small_cnn().eval(), pictures(5)
    noise = Noise(3, 0.1, 0)
    readings = [
        Reading(noise, Variance()),
        Reading(Clean(), Mean()),
        Reading(noise, Mean(), "7"),
        Reading(Clean(), Mean()),
        Reading(noise, Mean("absolute")),
    ]
    chunks = list(read_streams(model, images, ClassLogit(targets), readings, 2))
    assert torch.equal(torch.cat([chunk for chunk, _ in chunks]), images)
    for chunk, values in chunks:
        assert set(values) == set(readings)
        assert values[readings[1]].shape == chunk.shape
        assert values[readings[2]].shape == (len(chunk), 6, 4, 4)
        assert (values[readings[4]] >= 0).all()
    gradients = torch.cat([values[readings[1]] for _, values in chunks])
    inputs = images.clone().requires_grad_()
    model(inputs).gather(1, targets[:, None]).sum().backward()
    torch.testing.assert_close(gradients, inputs.grad)


def test_nothing_that_is_read_keeps_a_graph() -> None:
    model, (images, targets) = small_cnn().eval(), pictures(2)
    for _, values in read_streams(model, images, ClassLogit(targets), [Reading(Clean(), Mean(), "7")], 2):
        assert not any(value.requires_grad for value in values.values())


def test_parameters_get_no_gradients() -> None:
    model, (images, targets) = small_cnn(), pictures(2)
    explain(model, images, targets, [Gradient(), GradCAM(), SmoothGrad(2)])
    assert all(parameter.grad is None for parameter in model.parameters())
