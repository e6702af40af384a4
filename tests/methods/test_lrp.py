"""Layer-wise relevance propagation: conservation on real networks, other libraries, closed forms, refusals."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_saliency import explain
from lightning_saliency.methods import LRP, InputXGradient
from lightning_saliency.passes.relevance_rules import Portion, RelevanceRule
from tests.methods.test_cam_family import relu_network
from tests.models import pictures, small_cnn, tiny_vit


def logits_of_targets(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    with torch.no_grad():
        return model.eval()(images).gather(1, targets[:, None])[:, 0]


def with_statistics(model: nn.Module) -> nn.Module:
    """Give every BatchNorm other statistics, weights and biases, and convolutions biases, as training does."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            module.bias.data = 0.1 * torch.randn(module.bias.shape, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            shape = module.weight.shape
            module.weight.data = 0.5 + torch.rand(shape, generator=generator)
            module.bias.data = 0.2 * torch.randn(shape, generator=generator)
            module.running_mean.copy_(0.2 * torch.randn(shape, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(shape, generator=generator))
    return model.eval()


def network(library: str, name: str) -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        if library == "timm":
            options: dict[str, Any] = {"mlp_ratio": 0.01} if name.startswith("vgg") else {"zero_init_last": False}
            return with_statistics(pytest.importorskip("timm").create_model(name, num_classes=5, **options))
        return with_statistics(getattr(pytest.importorskip("torchvision.models"), name)(num_classes=5))


@pytest.mark.parametrize("rule", ["z_plus", "alpha_beta"])
@pytest.mark.parametrize(
    ("library", "name"),
    [("timm", "resnet18"), ("torchvision", "resnet18"), ("timm", "vgg11_bn"), ("timm", "vgg11")],
)
def test_relevance_sums_to_the_logit_of_resnets_and_vggs(library: str, name: str, rule: Any) -> None:
    model = network(library, name).double()
    images, targets = torch.randn(2, 3, 32, 32, dtype=torch.float64), torch.tensor([0, 3])
    logits = logits_of_targets(model, images, targets)
    result = LRP(rule).attribute(model, images, targets)
    assert result.shape == images.shape
    torch.testing.assert_close(result.flatten(1).sum(dim=1), logits, rtol=1e-4, atol=0)


@pytest.mark.parametrize(("library", "name"), [("timm", "resnet18"), ("torchvision", "resnet18"), ("timm", "vgg11_bn")])
def test_epsilon_is_image_times_gradient_by_another_way(library: str, name: str) -> None:
    """Ancona et al. 2018, for networks of ReLUs. It is computed layer by layer, and not by falling back."""
    model = network(library, name).double()
    images, targets = torch.randn(2, 3, 32, 32, dtype=torch.float64), torch.tensor([0, 3])
    result = LRP("epsilon", epsilon=1e-13).attribute(model, images, targets)
    expected = InputXGradient().attribute(model, images, targets)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))
    larger = LRP("epsilon", epsilon=0.5).attribute(model, images, targets)
    assert not torch.allclose(larger, expected, rtol=0.1)


def test_the_composite_loses_what_the_last_biases_keep() -> None:
    model = network("torchvision", "resnet18").double()
    images, targets = torch.randn(2, 3, 32, 32, dtype=torch.float64), torch.tensor([0, 3])
    result = LRP().attribute(model, images, targets).flatten(1).sum(dim=1)
    expected = logits_of_targets(model, images, targets) - model.fc.bias.detach()[targets]
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=0)


class Plain(nn.Module):
    """Flattened without a module, for which captum has no rule."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(1)
            self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
            self.rectify, self.again, self.pool = nn.ReLU(), nn.ReLU(), nn.MaxPool2d(2)
            self.head = nn.Linear(128, 4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.again(self.second(self.pool(self.rectify(self.first(images)))))
        return self.head(features.flatten(1))


def test_it_is_captums_with_epsilon() -> None:
    captum = pytest.importorskip("captum.attr")
    rules = pytest.importorskip("captum.attr._utils.lrp_rules")
    images, targets = pictures(3)
    for epsilon in (1e-3, 0.1):
        model = Plain()
        for layer in (model.first, model.second, model.head):
            layer.rule = rules.EpsilonRule(epsilon)
        expected = captum.LRP(model).attribute(images.clone().requires_grad_(), targets)
        result = LRP("epsilon", epsilon=epsilon).attribute(Plain(), images, targets)
        torch.testing.assert_close(result, expected.detach(), rtol=1e-3, atol=1e-5)


def test_a_rule_from_outside_is_data_and_is_captums_gamma() -> None:
    captum = pytest.importorskip("captum.attr")
    rules = pytest.importorskip("captum.attr._utils.lrp_rules")
    images, targets = pictures(3)
    model = Plain()
    for layer in (model.first, model.second, model.head):
        layer.rule = rules.GammaRule(0.25)
    expected = captum.LRP(model).attribute(images.clone().requires_grad_(), targets)
    gamma = RelevanceRule((Portion(positive=1.25, biases=True, epsilon=1e-9),))
    attribution = LRP(gamma).attribute(Plain(), images, targets)
    torch.testing.assert_close(attribution, expected.detach(), rtol=1e-3, atol=1e-5)
    assert LRP(gamma).baselines(images) is None, "biases keep a share"


def z_plus_as_data() -> RelevanceRule:
    positive = Portion(negative=0.0)
    return RelevanceRule((positive,), sums=(positive, Portion(positive=0.0, share=0.0)))


def test_equal_rules_share_their_passes_whatever_they_ignore() -> None:
    model, (images, targets) = relu_network(), pictures(3)
    calls: list[int] = []
    model.register_forward_hook(lambda *_: calls.append(1))
    kinds = {"by name": LRP("z_plus", epsilon=0.1), "as data": LRP(z_plus_as_data())}
    maps = explain(model, images, targets, kinds)
    assert torch.equal(maps["by name"], maps["as data"])
    assert len(calls) == 1


@pytest.mark.parametrize(("rule", "total"), [("z_plus", 0.0), ("alpha_beta", 1.0), ("epsilon", -3.0)])
def test_relevance_of_a_unit_with_negative_contributions_alone(rule: Any, total: float) -> None:
    """The unit is 4 - 1 - 2. Z-plus loses its relevance, alpha-beta passes it on once, epsilon gives 4 to the bias."""
    first, second = nn.Linear(2, 1), nn.Linear(1, 2, bias=False)
    first.weight.data, first.bias.data = torch.tensor([[-1.0, -2.0]]), torch.tensor([4.0])
    second.weight.data = torch.tensor([[1.0], [-1.0]])
    model = nn.Sequential(nn.Flatten(), first, second)
    relevance = LRP(rule).attribute(model, torch.ones(1, 1, 1, 2), torch.tensor([0]))
    assert relevance.sum().item() == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize("rule", ["epsilon", "z_plus", "alpha_beta", "epsilon_plus"])
def test_a_unit_without_contributions_passes_nothing_on(rule: Any) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    model[1].bias.data.fill_(1.0)
    assert not LRP(rule).attribute(model, torch.zeros(1, 1, 2, 2), torch.tensor([0])).any()


class Bottlenecks(nn.Module):
    """Inverted residuals as in MobileNets: expanded, depthwise, projected without an activation, and added."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(4, 12, 1, bias=False),
                nn.BatchNorm2d(12),
                nn.ReLU6(),
                nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False),
                nn.BatchNorm2d(12),
                nn.ReLU6(),
                nn.Conv2d(12, 4, 1, bias=False),
                nn.BatchNorm2d(4),
            )
            for _ in range(2)
        )
        self.head = nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images)
        for block in self.blocks:
            features = features + block(features)
        return self.head(features.mean(dim=(2, 3)))


def depthwise(name: str) -> nn.Module:
    if name == "bottlenecks":
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            return with_statistics(Bottlenecks())
    return network(*name.split("/"))


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        *(("bottlenecks", rule) for rule in ("z_plus", "alpha_beta", "epsilon_plus", "epsilon")),
        ("torchvision/mobilenet_v2", "alpha_beta"),
        ("timm/resnet18", "z_plus"),
        ("timm/vgg11", "epsilon"),
    ],
)
def test_what_pixels_and_biases_get_sums_to_the_logit(name: str, rule: Any) -> None:
    model = depthwise(name).double()
    images, targets = torch.randn(2, 3, 32, 32, dtype=torch.float64), torch.tensor([0, 3])
    of_biases = LRP(rule).attribute_to_biases(model, images, targets)
    total = LRP(rule).attribute(model, images, targets).flatten(1).sum(dim=1) + of_biases
    torch.testing.assert_close(total, logits_of_targets(model, images, targets), rtol=1e-6, atol=1e-9)
    one_by_one = LRP(rule).attribute_to_biases(model, images, targets, max_batch_size=1)
    torch.testing.assert_close(one_by_one, of_biases)


def test_biases_keep_the_relevance_of_units_that_they_alone_activate() -> None:
    """The first unit is 4 - 1 - 2 = 1 by its bias, the second 1 + 2 = 3; the logit counts both."""
    first, second = nn.Linear(2, 2), nn.Linear(2, 2, bias=False)
    first.weight.data, first.bias.data = torch.tensor([[-1.0, -2.0], [1.0, 2.0]]), torch.tensor([4.0, 0.0])
    second.weight.data = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    model, images = nn.Sequential(nn.Flatten(), first, nn.ReLU(), second), torch.ones(1, 1, 1, 2)
    assert LRP("z_plus").attribute_to_biases(model, images, torch.tensor([0])).tolist() == [1.0]
    assert LRP("z_plus").attribute(model, images, torch.tensor([0])).tolist() == [[[[1.0, 2.0]]]]


@pytest.mark.parametrize("rule", ["z_plus", "epsilon_plus"])
@pytest.mark.parametrize(("bias", "amount"), [(11.0, "about 80 %"), (103.0, "nearly all")])
def test_a_warning_says_how_much_biases_keep(rule: Any, bias: float, amount: str) -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2, bias=False)
    first.weight.data, first.bias.data = torch.tensor([[-1.0, -2.0], [1.0, 1.0]]), torch.tensor([bias, 0.0])
    second.weight.data = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    images, targets = torch.ones(1, 2, 1, 1), torch.tensor([0])
    weights = [layer.weight.data[..., None, None] for layer in (first, second)]
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 1, bias=False), nn.Flatten())
    model[0].weight.data, model[0].bias.data, model[2].weight.data = weights[0], first.bias.data, weights[1]
    with pytest.warns(UserWarning, match=rf"keep {amount} of the relevance of 'lrp'.*`attribute_to_biases`"):
        LRP(rule)(model, images, targets)


def test_a_sum_of_negative_branches_keeps_its_relevance() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(2, 2, bias=False)
            self.head.weight.data = torch.tensor([[-1.0, -1.0], [0.0, 0.0]])

        def forward(self, images: Tensor) -> Tensor:
            return self.head((images[:, 0] + images[:, 1]).flatten(1))

    images = torch.tensor([[[[-1.0, -2.0]], [[-3.0, -2.0]]]])
    relevance = LRP("z_plus").attribute(Sum(), images, torch.tensor([0]))
    torch.testing.assert_close(relevance, -images)


def test_one_logit_keeps_its_relevance() -> None:
    model, images = plain_classifier(), pictures(3)[0]
    with torch.no_grad():
        half = model(images)[:, 0] / 2
    for target, logit in ((0, -half), (1, half)):
        relevance = LRP("z_plus").attribute(model, images, torch.full((3,), target))
        torch.testing.assert_close(relevance.flatten(1).sum(dim=1), logit, rtol=1e-4, atol=1e-5)


def relevance_by_hand(layers: list[Tensor], image: Tensor, target: int, alpha: float) -> Tensor:
    """Apply the rule to a multilayer network without biases, one unit after another."""
    activations = [image]
    for weight in layers[:-1]:
        activations.append((weight @ activations[-1]).relu())
    relevance = torch.zeros(len(layers[-1]))
    relevance[target] = (layers[-1] @ activations[-1])[target]
    for weight, activation in zip(layers[::-1], activations[::-1], strict=True):
        below = torch.zeros_like(activation)
        for unit, row in enumerate(weight):
            contributions = row * activation
            above, under = contributions.clamp(min=0), contributions.clamp(max=0)
            both = bool(above.any()) and bool(under.any())
            if above.any():
                below += (alpha if both else 1) * relevance[unit] * above / above.sum()
            if under.any() and alpha > 1:
                below += (1 - alpha if both else 1) * relevance[unit] * under / under.sum()
        relevance = below
    return relevance


@pytest.mark.parametrize(("rule", "alpha"), [("z_plus", 1.0), ("alpha_beta", 2.0), ("alpha_beta", 1.5)])
def test_rules_of_positive_contributions_by_hand(rule: Any, alpha: float) -> None:
    layers = [nn.Linear(48, 20, bias=False), nn.Linear(20, 10, bias=False), nn.Linear(10, 4, bias=False)]
    model = nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    images, targets = pictures(3, size=4)
    result = LRP(rule, alpha=alpha).attribute(model, images - 0.5, targets)
    weights = [layer.weight.detach() for layer in layers]
    for image, target, relevance in zip(images - 0.5, targets, result, strict=True):
        expected = relevance_by_hand(weights, image.flatten(), int(target), alpha).reshape(image.shape)
        torch.testing.assert_close(relevance, expected, rtol=1e-4, atol=1e-5)


def test_a_normalisation_is_folded_into_the_layer_before_it() -> None:
    model, (images, targets) = relu_network(), pictures(3)
    model[1].running_mean.normal_()
    folded = relu_network()
    for convolution, norm in ((0, 1), (3, 4)):
        scale = (model[norm].weight / (model[norm].running_var + model[norm].eps).sqrt()).detach()
        folded[convolution].weight.data *= scale[:, None, None, None]
        bias = (folded[convolution].bias - model[norm].running_mean) * scale + model[norm].bias
        folded[convolution].bias.data = bias.detach()
        folded[norm] = nn.Identity()
    for rule in ("epsilon", "z_plus", "alpha_beta", "epsilon_plus"):
        result, expected = (LRP(rule).attribute(network, images, targets) for network in (model, folded))
        torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-5)


def test_a_map_of_positive_contributions_is_not_blank_where_the_logit_is_negative() -> None:
    model, images = plain_classifier(), pictures(3)[0]
    for rule in ("z_plus", "alpha_beta"):
        for target in (0, 1):  # their logits are of opposite sign
            assert LRP(rule)(model, images, torch.full((3,), target)).flatten(1).any(dim=1).all()
    first, second = (LRP("z_plus").attribute(model, images, torch.full((3,), target)) for target in (0, 1))
    assert (first.flatten(1).sum(dim=1) * second.flatten(1).sum(dim=1) < 0).all()


def plain_classifier() -> nn.Sequential:
    with torch.random.fork_rng([]):
        torch.manual_seed(2)
        return nn.Sequential(nn.Conv2d(3, 5, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(180, 1, bias=False))


def test_it_depends_on_the_network_as_it_is_and_leaves_it_so() -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    LRP()(model, images, targets)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model[2].inplace


def test_z_plus_relevance_hardly_depends_on_the_class_in_deep_networks() -> None:
    """Positive propagation converges to one direction; a signed rule does not."""
    images, targets = torch.rand(2, 3, 8, 8), torch.tensor([0, 0])
    similarity = {}
    for rule in ("z_plus", "epsilon"):
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            layers: list[nn.Module] = [nn.Flatten(), nn.Linear(192, 32)]
            for _ in range(8):
                layers += [nn.ReLU(), nn.Linear(32, 32)]
            model = nn.Sequential(*layers, nn.ReLU(), nn.Linear(32, 4))
        first, second = (LRP(rule).attribute(model, images, targets + k).flatten(1) for k in (0, 1))
        similarity[rule] = torch.cosine_similarity(first, second).abs().min()
    assert similarity["z_plus"] > 0.99
    assert similarity["epsilon"] < 0.95


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Conv2d(3, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = self.network(images)
        return (features * features.sigmoid()).mean(dim=(2, 3))


@pytest.mark.parametrize(
    ("model", "size", "name"),
    [(tiny_vit(), 32, "layer_norm"), (Gated(), 8, "mul of two activations"), (nn.GroupNorm(1, 3), 8, "group_norm")],
)
def test_operations_without_a_rule_are_refused_by_name(model: nn.Module, size: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}'"):
        LRP()(model, *pictures(2, size=size))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "gamma"}, "`rule`.*'gamma'"),
        ({"epsilon": 0}, "`epsilon`.* 0"),
        ({"epsilon": -1}, "`epsilon`.* -1"),
        ({"alpha": 0.5}, "`alpha`.* 0.5"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LRP(**options)
