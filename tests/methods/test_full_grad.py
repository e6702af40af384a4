"""FullGrad: completeness, its three forms, and biases wherever they are."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_saliency.methods import FullGrad, InputXGradient
from tests.methods.test_cam_family import relu_network
from tests.methods.test_lrp import logits_of_targets, network
from tests.models import pictures


@pytest.mark.parametrize(("library", "name"), [("timm", "resnet18"), ("torchvision", "resnet18"), ("timm", "vgg11_bn")])
def test_the_attribution_sums_to_the_logit_of_resnets_and_vggs(library: str, name: str) -> None:
    model, images, targets = network(library, name), torch.randn(2, 3, 64, 64), torch.tensor([0, 3])
    result = FullGrad().attribute(model, images, targets)
    assert result.shape == (2, 64, 64)
    torch.testing.assert_close(
        result.flatten(1).sum(dim=1), logits_of_targets(model, images, targets), rtol=1e-4, atol=1e-4
    )


def test_it_does_not_leave_out_biases_on_odd_grids() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images, targets = torch.rand(2, 3, 11, 7), torch.tensor([0, 3])
    result = FullGrad().attribute(model, images, targets).flatten(1).sum(dim=1)
    torch.testing.assert_close(result, logits_of_targets(model, images, targets))


def test_without_biases_it_is_input_times_gradient() -> None:
    model, (images, targets) = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.Flatten()), pictures(3)
    result = FullGrad("signed")(model, images, targets)
    torch.testing.assert_close(result, InputXGradient(signed=True)(model, images, targets))


def terms_by_hand(model: nn.Sequential, images: Tensor, targets: Tensor) -> list[Tensor]:
    """Input and biases of the two convolutions and norms, times their gradients."""
    inputs = images.clone().requires_grad_()
    watched, biases, features = [inputs], [inputs], inputs
    for layer in model:
        features = layer(features)
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d):
            watched.append(features)
            bias = layer.bias
            if isinstance(layer, nn.BatchNorm2d):
                bias = bias - layer.running_mean * layer.weight / (layer.running_var + layer.eps).sqrt()
            biases.append(bias[:, None, None])
    gradients = torch.autograd.grad(features.gather(1, targets[:, None]).sum(), watched)
    return [(bias * gradient).detach() for bias, gradient in zip(biases, gradients, strict=True)]


@pytest.mark.parametrize(("psi", "part"), [("absolute", torch.abs), ("positive", torch.relu), ("signed", None)])
def test_layers_are_scaled_and_summed(psi: Any, part: Any) -> None:
    model, (images, targets) = relu_network(), pictures(3)
    model[1].running_mean.normal_()
    model[4].bias.data.normal_()
    expected = torch.zeros(3, 8, 8)
    for term in terms_by_hand(model, images, targets):
        scaled = term
        if part is not None:
            scaled = part(term)
            scaled = torch.stack([(one - one.min()) / (one.max() - one.min()) for one in scaled])
        small = scaled.sum(dim=1, keepdim=True)
        expected += functional.interpolate(small, size=(8, 8), mode="bilinear")[:, 0]
    torch.testing.assert_close(FullGrad(psi)(model, images, targets), expected, rtol=1e-4, atol=1e-5)


def test_absolute_maps_of_opposite_classes_are_the_same_and_signed_ones_opposite() -> None:
    """In closed form: what positive aggregation cannot tell apart."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 1, bias=False))
    images, targets = pictures(3)[0], torch.tensor([0, 0, 0])
    for psi, sign in (("absolute", 1), ("signed", -1)):
        first, second = (FullGrad(psi)(model, images, targets + k) for k in (0, 1))
        torch.testing.assert_close(first, sign * second)


def test_functional_layers_in_place_activations_and_shared_modules_are_seen() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.randn(3, 3, 3, 3)), nn.Parameter(torch.randn(3))
            self.shared = nn.Conv2d(3, 3, 1)

        def forward(self, images: Tensor) -> Tensor:
            features = functional.conv2d(images, self.weight, self.bias, padding=1).relu_()
            features = functional.relu(self.shared(features), inplace=True)
            return self.shared(features).relu_().mean(dim=(2, 3))

    model, images, targets = Functional(), pictures(3)[0], torch.tensor([0, 1, 2])
    result = FullGrad().attribute(model, images, targets).flatten(1).sum(dim=1)
    torch.testing.assert_close(result, logits_of_targets(model, images, targets), rtol=1e-4, atol=1e-5)


def test_an_unknown_psi_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`psi`.*'square'"):
        FullGrad("square")
