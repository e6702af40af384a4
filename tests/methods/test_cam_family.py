"""Class activation maps: worked numbers, limiting cases, other libraries' maps, and layers of many networks."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_saliency import explain, methods
from lightning_saliency.methods import (
    EigenCAM,
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    IntegratedGradCAM,
    IntegratedGradients,
    LayerCAM,
    Method,
    SmoothGrad,
    SmoothGradCAMPlusPlus,
    XGradCAM,
)
from lightning_saliency.passes.points import Noise
from tests.methods.test_grad_cam import ByHand
from tests.models import pictures, small_cnn

A = torch.tensor([[[[1.0, 2], [0, 1]], [[0, 1], [3, 0]]]])
G = torch.tensor([[[[2.0, -1], [1, -4]], [[1, 0], [-1, 2]]]])


def by_hand(method: Method, target: int = 0, activation: Tensor = A, gradient: Tensor = G) -> list[Any]:
    """Explain given activations with given gradients."""
    maps = method(ByHand(activation, gradient), torch.zeros(1, 1, 2, 2), torch.tensor([target]), max_batch_size=1)
    return maps[0].double().round(decimals=6).tolist()


def relu_network() -> nn.Sequential:
    """Convolutions whose rectified outputs the layers "2" and "5" are, after which the network is curved."""
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 6, 3, stride=2, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(96, 12),
            nn.ReLU(),
            nn.Linear(12, 4),
        ).eval()


@pytest.mark.parametrize(
    ("aggregation", "first", "second"),
    [
        ("signed", [[0, 0], [1.5, 0]], [[0.5, 0.5], [0, 0.5]]),
        ("positive", [[0.75, 2.25], [2.25, 0.75]], [[1.25, 2.75], [0.75, 1.25]]),
        ("absolute", [[2, 5], [3, 2]], [[2, 5], [3, 2]]),
    ],
)
def test_the_worked_example_of_positive_aggregation(aggregation: Any, first: list[Any], second: list[Any]) -> None:
    method = GradCAM("layer", aggregation=aggregation)
    assert by_hand(method, 0) == first
    assert by_hand(method, 1) == second


def test_signed_maps_of_opposite_classes_are_disjoint_and_positive_ones_overlap() -> None:
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        activation = torch.rand(1, 3, 2, 2, generator=generator)
        gradient = torch.randn(1, 3, 2, 2, generator=generator)
        both = {
            aggregation: [
                torch.tensor(by_hand(GradCAM("layer", aggregation), target, activation, gradient)) for target in (0, 1)
            ]
            for aggregation in ("signed", "positive")
        }
        assert not torch.minimum(*both["signed"]).any()
        assert (torch.minimum(*both["positive"]) > 0).all()


@pytest.mark.parametrize("kind", [GradCAM, GradCAMPlusPlus, XGradCAM, SmoothGradCAMPlusPlus, IntegratedGradCAM])
def test_with_positive_gradients_all_aggregations_are_the_same(kind: Callable[..., Any]) -> None:
    maps = [by_hand(kind("layer", aggregation=a), gradient=G.abs()) for a in ("signed", "positive", "absolute")]
    assert maps[0] == maps[1] == maps[2]
    assert maps[0] != by_hand(kind("layer", aggregation="signed"))


def test_the_worked_example_of_higher_derivatives() -> None:
    weight = 1 / (2 + 4 * 2) * 2 + 1 / (2 + 4 * 1)  # and the same for the second channel
    expected = (weight * A.sum(dim=1)[0]).double().round(decimals=6).tolist()
    assert by_hand(GradCAMPlusPlus("layer")) == expected == [[0.366667, 1.1], [1.1, 0.366667]]


def test_grad_cam_plus_plus_is_finite_at_the_paper_s_pole() -> None:
    activation = torch.tensor([[[[-1.0, 0], [0, 0]]]])
    gradient = torch.full((1, 1, 2, 2), 2.0)  # 2 + S G = 0
    assert torch.tensor(by_hand(GradCAMPlusPlus("layer"), activation=activation, gradient=gradient)).isfinite().all()


def test_x_grad_cam_averages_gradients_where_the_channel_is_active() -> None:
    weights = torch.tensor([(2 * 1 - 2 - 4) / 4, (0 - 3) / 4])  # of the two channels
    expected = (weights[:, None, None] * A[0]).sum(dim=0).relu()
    assert by_hand(XGradCAM("layer")) == expected.tolist()
    assert by_hand(XGradCAM("layer"), 1) == (weights[:, None, None] * A[0]).sum(dim=0).neg().relu().tolist()


def test_a_channel_without_activation_has_no_weight() -> None:
    for kind in (XGradCAM, GradCAM, GradCAMPlusPlus, LayerCAM, HiResCAM, EigenCAM):
        assert by_hand(kind("layer"), activation=torch.zeros_like(A)) == [[0, 0], [0, 0]]


def test_position_by_position() -> None:
    assert by_hand(HiResCAM("layer")) == (A * G).sum(dim=1)[0].relu().tolist()
    assert by_hand(LayerCAM("layer")) == (A * G.relu()).sum(dim=1)[0].tolist()


def test_before_average_pooling_and_a_linear_layer_hi_res_cam_is_grad_cam() -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    maps = [kind("8")(model, images, targets) for kind in (HiResCAM, GradCAM)]
    assert maps[0].any()
    torch.testing.assert_close(*maps)


def test_eigen_cam_projects_on_the_direction_that_explains_most() -> None:
    model, (images, targets) = relu_network(), pictures(4)
    result = EigenCAM("2")(model, images, targets)
    activation = model[:3](images).detach().double()
    for image, map_ in zip(activation, result, strict=True):
        rows = image.flatten(1).T
        values, vectors = torch.linalg.eigh(rows.T @ rows)
        projected = (rows @ vectors[:, -1]).abs().reshape(8, 8)  # of one sign, since activations are not negative
        assert values[-1] > values[-2]
        torch.testing.assert_close(map_.double(), projected, rtol=1e-5, atol=1e-6)


def test_eigen_cam_has_a_sign_of_its_own() -> None:
    assert by_hand(EigenCAM("layer")) == by_hand(EigenCAM("layer"), 1)
    balanced = torch.tensor([[[[2.0, -2], [0, 0]]]])
    assert by_hand(EigenCAM("layer"), activation=balanced, gradient=balanced) == [[2, 0], [0, 0]]
    assert by_hand(EigenCAM("layer"), activation=-balanced, gradient=balanced) == [[2, 0], [0, 0]]
    assert by_hand(EigenCAM("layer"), activation=-A.sum(1, keepdim=True), gradient=A[:, :1]) == [[1, 3], [3, 1]]


def test_without_noise_the_smooth_form_is_grad_cam_plus_plus() -> None:
    model, (images, targets) = relu_network(), pictures(3)
    smooth = SmoothGradCAMPlusPlus("2", noise_level=0)(model, images, targets)
    torch.testing.assert_close(smooth, GradCAMPlusPlus("2")(model, images, targets), rtol=1e-4, atol=1e-6)


def test_the_smooth_form_is_a_formula_of_mean_powers() -> None:
    model, (images, targets) = relu_network(), pictures(3)
    method = SmoothGradCAMPlusPlus("2", num_samples=6)
    gradients = []
    for step in range(6):
        activation = model[:3](Noise(6, 0.15, 0).sample(images, step).inputs).detach().requires_grad_()
        logits = model[3:](activation).gather(1, targets[:, None])
        gradients.append(torch.autograd.grad(logits.sum(), activation)[0])
    stack, clean = torch.stack(gradients), model[:3](images).detach()
    above, below = stack.square().mean(0), 2 * stack.square().mean(0)
    below = below + clean.sum(dim=(2, 3), keepdim=True) * stack.pow(3).mean(0).abs()
    weights = (torch.where(above > 0, above / below, 0.0) * stack.mean(0).relu()).sum(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(method(model, images, targets), (weights * clean).sum(1).relu(), rtol=1e-4, atol=1e-6)


def test_integrated_grad_cam_is_the_mean_of_maps_on_the_path() -> None:
    model, (images, targets) = relu_network(), pictures(3)
    method = IntegratedGradCAM("5", num_steps=5, baseline=torch.zeros(3, 8, 8), rule="left")
    small = []
    for step in range(5):
        activation = model[:6](images * step / 5).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(model[6:](activation).gather(1, targets[:, None]).sum(), activation)
        small.append((gradient.mean(dim=(2, 3), keepdim=True) * activation).sum(dim=1).relu().detach())
    expected = functional.interpolate(torch.stack(small).mean(0)[:, None], (8, 8), mode="bilinear")[:, 0]
    torch.testing.assert_close(method(model, images, targets), expected)


def test_maps_of_several_layers_are_averaged() -> None:
    model, (images, targets) = relu_network(), pictures(3)
    for kind in (GradCAM, LayerCAM, EigenCAM, SmoothGradCAMPlusPlus, IntegratedGradCAM):
        both = kind(["2", "5"])(model, images, targets)
        each = [kind(name)(model, images, targets) for name in ("2", "5")]
        torch.testing.assert_close(both, sum(each) / 2)
        assert kind(["2", "5"]) == kind(("2", "5"))


@pytest.mark.parametrize("layer", [3, [], ["2", 3]])
def test_layers_that_are_no_names_are_refused(layer: Any) -> None:
    with pytest.raises(TypeError, match="layer"):
        GradCAM(layer)


@pytest.mark.parametrize("kind", [GradCAM, GradCAMPlusPlus, XGradCAM, SmoothGradCAMPlusPlus, IntegratedGradCAM])
def test_unknown_aggregations_are_refused(kind: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"`aggregation`.*'negative'"):
        kind(aggregation="negative")


def test_maps_at_the_image_share_one_pass_with_each_other_and_the_gradient() -> None:
    model, (images, targets) = relu_network(), pictures(3)
    calls: list[int] = []
    model.register_forward_hook(lambda *_: calls.append(1))
    kinds = (GradCAM, GradCAMPlusPlus, XGradCAM, LayerCAM, HiResCAM, EigenCAM)
    explain(model, images, targets, [*(kind("2") for kind in kinds), methods.Gradient()])
    assert len(calls) == 1
    calls.clear()
    shared = [SmoothGradCAMPlusPlus("2", 4), SmoothGrad(4), IntegratedGradCAM("2", 3), IntegratedGradients(3)]
    explain(model, images, targets, shared, max_batch_size=3)
    assert len(calls) == 1 + 4 + 3


@pytest.mark.parametrize("layer", [2, 5])
@pytest.mark.parametrize("name", ["GradCAM", "GradCAMPlusPlus", "XGradCAM", "LayerCAM", "HiResCAM"])
def test_it_is_pytorch_grad_cams(name: str, layer: int) -> None:
    library = pytest.importorskip("pytorch_grad_cam")
    model, (images, targets) = relu_network(), pictures(3)
    activation = model[: layer + 1](images).detach().requires_grad_()
    # Their eps of 1e-6 is not small beside squares of gradients, so that these are enlarged.
    model[9].weight.data.mul_(1000)
    (gradient,) = torch.autograd.grad(model[layer + 1 :](activation).gather(1, targets[:, None]).sum(), activation)
    with getattr(library, name)(model, [model[layer]]) as theirs:
        small = theirs.get_cam_image(
            images, model[layer], None, activation.detach().numpy(), gradient.numpy(), eigen_smooth=False
        )
    expected = functional.interpolate(torch.tensor(small)[:, None].relu(), size=(8, 8), mode="bilinear")[:, 0]
    result = getattr(methods, name)(str(layer))(model, images, targets)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4 * float(expected.max()))


@pytest.mark.parametrize("layer", ["2", "5"])
@pytest.mark.parametrize("name", ["GradCAM", "XGradCAM", "LayerCAM"])
def test_it_is_torchcams(name: str, layer: str) -> None:
    library = pytest.importorskip("torchcam.methods")
    model, (images, targets) = relu_network(), pictures(3)
    with getattr(library, name)(model, layer, input_shape=(3, 8, 8)) as theirs:
        (small,) = theirs(targets.tolist(), model(images.requires_grad_()), normalized=False)
    expected = functional.interpolate(small[:, None].detach(), size=(8, 8), mode="bilinear")[:, 0]
    result = getattr(methods, name)(layer)(model, images, targets)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("network", "size", "options"),
    [
        ("resnet18", (64, 64), {}),
        ("vgg11_bn", (64, 64), {"mlp_ratio": 0.01}),
        ("densenet121", (64, 64), {"block_config": (2, 2, 2, 2)}),
        ("mobilenetv3_small_100", (64, 64), {}),
        ("efficientnet_b0", (64, 64), {}),
        ("convnext_atto", (64, 64), {}),
        ("vit_tiny_patch16_224", (48, 64), {"img_size": (48, 64)}),
        ("deit_tiny_distilled_patch16_224", (64, 64), {"img_size": 64}),
        ("swin_tiny_patch4_window7_224", (112, 112), {"img_size": 112, "embed_dim": 24, "depths": (1, 1, 2, 1)}),
    ],
)
def test_maps_of_timms_networks_are_not_constant(network: str, size: tuple[int, int], options: dict[str, Any]) -> None:
    timm = pytest.importorskip("timm")
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = timm.create_model(network, num_classes=5, **options)
    images, targets = torch.rand(2, 3, *size), torch.tensor([0, 1])
    kinds = (GradCAM, GradCAMPlusPlus, LayerCAM, HiResCAM, EigenCAM)
    maps = explain(model, images, targets, [kind() for kind in kinds])
    # With random weights a rectified map may be blank, the other class's is not where it is signed.
    opposite = explain(model, images, 1 - targets, [kind() for kind in kinds])
    for name, result in maps.items():
        assert result.shape == (2, *size)
        assert (result.std(dim=(1, 2)) + opposite[name].std(dim=(1, 2)) > 0).all(), name
