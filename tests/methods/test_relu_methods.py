"""Guided backpropagation, deconvolution and RectGrad: other libraries, closed forms, ReLUs in all disguises."""

from collections.abc import Callable
from itertools import pairwise
from typing import ClassVar

import pytest
import torch
from captum.attr import Deconvolution as CaptumDeconvolution
from captum.attr import GuidedBackprop as CaptumGuidedBackprop
from torch import Tensor, nn
from torch.nn import functional

from lightning_saliency import explain
from lightning_saliency.methods import Deconvolution, Gradient, GuidedBackprop, RectGrad
from lightning_saliency.passes import relu_rules
from tests.methods.test_cam_family import relu_network
from tests.models import pictures, small_cnn, tiny_vit


@pytest.mark.parametrize(
    ("ours", "captums"), [(GuidedBackprop(), CaptumGuidedBackprop), (Deconvolution(), CaptumDeconvolution)]
)
@pytest.mark.filterwarnings("ignore:Setting .* hooks on ReLU")
def test_it_is_captums(ours: GuidedBackprop, captums: type[CaptumGuidedBackprop]) -> None:
    model, (images, targets) = relu_network(), pictures(3)
    expected = captums(model).attribute(images.clone().requires_grad_(), targets)
    torch.testing.assert_close(ours(model, images, targets), expected.abs().amax(dim=1).detach())


class Disguised(nn.Module):
    """One network whose ReLUs are written in a different way each time."""

    WAYS = ("module", "in place module", "functional", "functional in place", "torch", "method", "method in place")

    def __init__(self, way: str) -> None:
        super().__init__()
        self.network, self.way = relu_network(), way
        self.inner = nn.ReLU(inplace=way == "in place module")

    def activate(self, features: Tensor) -> Tensor:
        if self.way in ("functional", "functional in place"):
            return functional.relu(features, inplace=self.way.endswith("in place"))
        if self.way == "torch":
            return torch.relu(features)
        if self.way == "method":
            return features.relu()
        if self.way == "method in place":
            features.relu_()  # and the result thrown away
            return features
        return self.inner(features)

    def forward(self, images: Tensor) -> Tensor:
        for layer in self.network:
            images = self.activate(images) if isinstance(layer, nn.ReLU) else layer(images)
        return images


@pytest.mark.parametrize("way", Disguised.WAYS)
def test_relus_are_caught_wherever_they_are(way: str) -> None:
    images, targets = pictures(3)
    kinds = {"guided": GuidedBackprop(), "deconvolution": Deconvolution(), "rect": RectGrad(0.7)}
    expected = explain(relu_network(), images, targets, kinds)
    model = Disguised(way)
    for name, maps in explain(model, images, targets, kinds).items():
        torch.testing.assert_close(maps, expected[name])
        assert maps.any()
    assert not torch.allclose(expected["guided"], Gradient()(model, images, targets))
    assert model.inner.inplace == (way == "in place module")


@pytest.mark.parametrize("method", [GuidedBackprop(), Deconvolution(), RectGrad(), RectGrad(magnitude=True)])
def test_a_model_without_relus_is_refused(method: GuidedBackprop) -> None:
    images, targets = pictures(2, size=32)
    for model in (tiny_vit(), nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())):
        with pytest.raises(ValueError, match=r"ReLUs, but its forward ran none of them, only (gelu|silu):"):
            method(model, images, targets)


def test_an_exception_of_the_model_is_not_taken_for_a_lack_of_relus() -> None:
    class Broken(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        GuidedBackprop()(Broken(), *pictures(1))


def positive_network() -> nn.Sequential:
    model = relu_network()
    for parameter in model.parameters():
        parameter.data.abs_()
    return model


def test_where_nothing_negative_flows_it_is_the_gradient() -> None:
    model, (images, targets) = positive_network(), pictures(3)
    torch.testing.assert_close(GuidedBackprop()(model, images, targets), Gradient()(model, images, targets))


def hidden_signals(model: nn.Sequential, images: Tensor, targets: Tensor, rule: relu_rules.ReluRule | None) -> Tensor:
    """Backpropagate a multilayer network by hand."""
    activations = [images.flatten(1)]
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]
    for layer in layers[:-1]:
        activations.append(layer(activations[-1]).relu())
    signal = layers[-1].weight[targets]
    for layer, activation in zip(layers[-2::-1], activations[:0:-1], strict=True):
        importance = activation * (signal.abs() if rule and rule.kind == "rectified_magnitude" else signal)
        if rule is None:
            signal = torch.where(activation > 0, signal, 0.0)
        elif rule.percentile:
            threshold = torch.quantile(importance, rule.percentile, dim=1, keepdim=True)
            signal = torch.where(importance > threshold, signal, 0.0)
        else:
            signal = torch.where(importance > 0, signal, 0.0)
        signal = signal @ layer.weight
    return signal.reshape(images.shape).detach()


def multilayer() -> nn.Sequential:
    sizes = [192, 40, 30, 4]
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def test_rect_grad_by_hand() -> None:
    model, (images, targets) = multilayer(), pictures(4)
    for magnitude in (False, True):
        rule = relu_rules.ReluRule("rectified_magnitude" if magnitude else "rectified", 0.8)
        expected = (images * hidden_signals(model, images, targets, rule)).abs().sum(dim=1)
        result = RectGrad(0.8, magnitude=magnitude)(model, images, targets)
        assert result.any()
        torch.testing.assert_close(result, expected)


def test_with_threshold_zero_rect_grad_is_guided_backprop_and_its_magnitude_the_gradient() -> None:
    model, (images, targets) = multilayer(), pictures(4)
    guided = hidden_signals(model, images, targets, relu_rules.ReluRule("rectified"))
    torch.testing.assert_close(guided.abs().amax(dim=1), GuidedBackprop()(model, images, targets))
    plain = hidden_signals(model, images, targets, relu_rules.ReluRule("rectified_magnitude"))
    torch.testing.assert_close(plain.abs().amax(dim=1), Gradient()(model, images, targets))
    torch.testing.assert_close(plain, hidden_signals(model, images, targets, None))


def test_a_signal_passes_where_it_is_more_important_than_the_threshold() -> None:
    signal, activation = torch.tensor([[2.0, -3.0, 1.0, -1.0]]), torch.tensor([[1.0, 1.0, 0.0, 2.0]])
    assert relu_rules.ReluRule("guided").passing(signal, activation).tolist() == [[2, 0, 0, 0]]
    assert relu_rules.ReluRule("deconvolution").passing(signal, activation).tolist() == [[2, 0, 1, 0]]
    assert relu_rules.ReluRule("rectified", 0.5).passing(signal, activation).tolist() == [[2, 0, 1, 0]]
    assert relu_rules.ReluRule("rectified_magnitude", 0.5).passing(signal, activation).tolist() == [[0, -3, 0, 0]]


@pytest.mark.parametrize("percentile", [98, 1.0, -0.1])
def test_percentiles_out_of_range_are_refused(percentile: float) -> None:
    with pytest.raises(ValueError, match="`percentile`"):
        RectGrad(percentile)


def test_equal_rules_share_a_pass() -> None:
    model, calls = small_cnn(), list[int]()
    model.register_forward_hook(lambda *_: calls.append(1))
    kinds = {"a": RectGrad(0.9), "b": RectGrad(0.9, name="other"), "c": RectGrad(0.9, magnitude=True)}
    explain(model, *pictures(3), kinds)
    assert len(calls) == 2


class Clipped(nn.Module):
    """One network of clipped ReLUs, written in a different way each time."""

    WAYS: ClassVar[dict[str, Callable[[Tensor], Tensor]]] = {
        "relu6": functional.relu6,
        "module": nn.ReLU6(),
        "module in place": nn.ReLU6(inplace=True),
        "hard-tanh": lambda features: functional.hardtanh(features, 0.0, 6.0),
        "hard-tanh module": nn.Hardtanh(0, 6),
        "clamp": lambda features: features.clamp(0, 6),
        "clamp by name": lambda features: torch.clamp(features, min=0, max=6),
        "clamp in place": lambda features: features.clamp_(0, 6),
        "clip": lambda features: features.clip(0, 6),
    }

    def __init__(self, way: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.way = nn.Linear(192, 30), nn.Linear(30, 4), way
        with torch.no_grad():
            self.first.weight.mul_(60)

    def forward(self, images: Tensor) -> Tensor:
        return self.second(self.WAYS[self.way](self.first(images.flatten(1))))


@pytest.mark.parametrize("way", Clipped.WAYS)
def test_clipped_relus_pass_nothing_where_they_are_cut_off(way: str) -> None:
    model, (images, targets) = Clipped(way), pictures(4)
    features = model.first(images.flatten(1))
    signal = model.second.weight[targets]
    inside = (features > 0) & (features < 6)
    assert (features >= 6).any()
    importance = features.clamp(0, 6) * signal
    important = importance > importance.amin(dim=1, keepdim=True)
    expected = {
        "guided_backprop": torch.where(inside & (signal > 0), signal, 0.0),
        "deconvolution": signal.clamp(min=0),
        "rect_grad": torch.where((features < 6) & important, signal, 0.0),
    }
    maps = explain(model, images, targets, [GuidedBackprop(), Deconvolution(), RectGrad(0.0)])
    for name, passed in expected.items():
        at_image = (passed @ model.first.weight).reshape(images.shape).detach()
        by_hand = (images * at_image).abs().sum(dim=1) if name == "rect_grad" else at_image.abs().amax(dim=1)
        torch.testing.assert_close(maps[name], by_hand)
        assert by_hand.any()


class Sloped(nn.Module):
    """One network of leaky ReLUs with the slope 0.2, written in a different way each time."""

    WAYS: ClassVar[dict[str, Callable[[Tensor], Tensor]]] = {
        "module": nn.LeakyReLU(0.2),
        "module in place": nn.LeakyReLU(0.2, inplace=True),
        "functional": lambda features: functional.leaky_relu(features, 0.2),
        "functional by name": lambda features: functional.leaky_relu(features, negative_slope=0.2, inplace=True),
        "in place": lambda features: functional.leaky_relu_(features, 0.2),
        "random slope": nn.RReLU(0.1, 0.3).eval(),
    }

    def __init__(self, way: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.way = nn.Linear(192, 40), nn.Linear(40, 4), way

    def forward(self, images: Tensor) -> Tensor:
        return self.second(self.WAYS[self.way](self.first(images.flatten(1))))


@pytest.mark.parametrize("way", Sloped.WAYS)
def test_leaky_relus_pass_signals_times_their_slope(way: str) -> None:
    model, (images, targets) = Sloped(way), pictures(4)
    features, signal = model.first(images.flatten(1)), model.second.weight[targets]
    slope = torch.where(features > 0, 1.0, 0.2)
    importance = features * slope * signal
    important = importance > torch.quantile(importance, 0.7, dim=1, keepdim=True)
    expected = {
        "guided_backprop": signal.clamp(min=0) * slope,
        "deconvolution": torch.where(signal > 0, signal, 0.2 * signal),
        "rect_grad": signal * slope * important,
    }
    maps = explain(model, images, targets, [GuidedBackprop(), Deconvolution(), RectGrad(0.7)])
    for name, passed in expected.items():
        at_image = (passed @ model.first.weight).reshape(images.shape).detach()
        by_hand = (images * at_image).abs().sum(dim=1) if name == "rect_grad" else at_image.abs().amax(dim=1)
        torch.testing.assert_close(maps[name], by_hand)


def with_activation(activation: nn.Module) -> nn.Sequential:
    """The same multilayer network with other activations."""
    layers = [activation if isinstance(layer, nn.ReLU) else layer for layer in multilayer()]
    return nn.Sequential(*layers)


@pytest.mark.parametrize("activation", [nn.LeakyReLU(0.0), nn.Threshold(0.0, 0.0), nn.Threshold(0.0, 0.0, True)])
def test_other_names_of_the_relu_are_the_relu(activation: nn.Module) -> None:
    images, targets = pictures(4)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = multilayer()
        torch.manual_seed(0)
        other = with_activation(activation)
    for method in (GuidedBackprop(), Deconvolution(), RectGrad(0.8)):
        torch.testing.assert_close(method(other, images, targets), method(model, images, targets))


def test_a_hard_tanh_is_clipped_at_both_ends() -> None:
    images, targets = pictures(4)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 40), nn.Hardtanh(), nn.Linear(40, 4))
    model[1].weight.data.mul_(4)
    features, signal = model[1](images.flatten(1)), model[3].weight[targets]
    inside = features.abs() < 1
    assert inside.any()
    assert (features < -1).any()
    for method, passed in ((GuidedBackprop(), signal.clamp(min=0) * inside), (Deconvolution(), signal.clamp(min=0))):
        at_image = (passed @ model[1].weight).reshape(images.shape).detach()
        torch.testing.assert_close(method(model, images, targets), at_image.abs().amax(dim=1))


class Clamped(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.clamp(-1, 1)


@pytest.mark.parametrize(
    ("activation", "name"),
    [
        (nn.PReLU(), "prelu"),
        (nn.LeakyReLU(-0.1), "leaky_relu"),
        (nn.Threshold(0.1, 0.0), "threshold"),
        (nn.Hardswish(), "hardswish"),
        (Clamped(), "clamp"),
    ],
)
def test_other_activations_are_refused_by_name(activation: nn.Module, name: str) -> None:
    for method in (GuidedBackprop(), Deconvolution(), RectGrad()):
        with pytest.raises(ValueError, match=f"ran none of them, only {name}:"):
            method(with_activation(activation), *pictures(2))


def test_a_mobilenet_is_explained() -> None:
    from torchvision.models import mobilenet_v2

    images, targets = pictures(2, size=32)
    for method in (GuidedBackprop(), Deconvolution(), RectGrad(0.5)):
        assert method(mobilenet_v2(num_classes=4), images, targets).any()
