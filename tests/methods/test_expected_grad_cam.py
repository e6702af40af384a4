"""Expected Grad-CAM: completeness, its special cases, and what sharing costs."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_saliency import explain
from lightning_saliency.methods import (
    ExpectedGradCAM,
    ExpectedGradients,
    GradCAM,
    HiResCAM,
    IntegratedGradCAM,
    LayerCAM,
)
from lightning_saliency.passes.references import References
from tests.methods.test_cam_family import relu_network
from tests.models import pictures, small_cnn, tiny_vit


def smooth_network() -> nn.Sequential:
    """Curved after every layer, and smooth, so that a quadrature can be exact."""
    with torch.random.fork_rng([]):
        torch.manual_seed(5)
        return (
            nn.Sequential(
                nn.Conv2d(3, 6, 3, padding=1),
                nn.Tanh(),
                nn.Conv2d(6, 5, 3, stride=2, padding=1),
                nn.Softplus(),
                nn.Flatten(),
                nn.Linear(80, 8),
                nn.Tanh(),
                nn.Linear(8, 4),
            )
            .double()
            .eval()
        )


def logits_of_targets(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images).gather(1, targets[:, None])[:, 0]


class Saturated(nn.Module):
    """min(mean(A), 1), with the image itself for A."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        score = self.layer(images).mean(dim=(1, 2, 3)).clamp(max=1)
        return torch.stack([score, -score], dim=1)


@pytest.mark.parametrize("layer", ["1", "3"])
def test_the_attribution_is_complete(layer: str) -> None:
    model, (images, targets) = smooth_network(), pictures(3)
    images, references = images.double(), pictures(4, seed=9)[0].double()
    mean = logits_of_targets(model, references.repeat_interleave(3, dim=0), targets.repeat(4)).reshape(4, 3).mean(0)
    expected = logits_of_targets(model, images, targets) - mean
    gaps = []
    for num_samples in (40, 1000):
        method = ExpectedGradCAM(layer, references, num_samples)
        result = method.attribute(model, images, targets)
        assert result.shape[:2] == (3, 6 if layer == "1" else 5)
        gaps.append((result.flatten(1).sum(dim=1) - expected).abs().max() / expected.abs().max())
    assert gaps[0] < 0.05
    assert gaps[1] < 4e-3


def test_weights_of_noisy_gradients_are_not_complete_before_a_curved_head() -> None:
    """The separating example: gradients around the image miss what happened on the way."""
    model, (images, targets) = smooth_network(), pictures(3)
    images, reference = images.double(), pictures(1, seed=9)[0].double()
    start = logits_of_targets(model, reference.repeat(3, 1, 1, 1), targets)
    change = logits_of_targets(model, images, targets) - start
    expected = ExpectedGradCAM("3", reference, 400).attribute(model, images, targets)
    ends = [model[:4](x).detach() for x in (images, reference)]
    smooth = torch.zeros_like(ends[0])
    generator = torch.Generator().manual_seed(0)
    for _ in range(400):
        noise = 0.15 * torch.randn(images.shape[1:], generator=generator, dtype=torch.float64)
        point = model[:4](images + noise).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(model[4:](point).gather(1, targets[:, None]).sum(), point)
        smooth += gradient * (ends[0] - ends[1]) / 400
    gap, smooth_gap = ((values.flatten(1).sum(1) - change).abs().max() for values in (expected, smooth))
    assert gap < 1e-4
    assert smooth_gap > 100 * gap


def test_the_saturated_case() -> None:
    image, baseline = torch.full((1, 1, 2, 2), 2.0), torch.zeros(1, 1, 2, 2)
    target = torch.tensor([0])
    assert not GradCAM("layer")(Saturated(), image, target).any()
    expected = ExpectedGradCAM("layer", baseline, 400)
    torch.testing.assert_close(expected(Saturated(), image, target), torch.full((1, 2, 2), 2 * 0.125))
    torch.testing.assert_close(expected.attribute(Saturated(), image, target).sum(), torch.tensor(1.0))


def test_behind_a_linear_head_the_expected_gradient_is_the_gradient_which_is_said_once() -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    references = pictures(3, seed=2)[0]
    for path, smoothing in (("input", 0.0), ("input", 0.3), ("activation", 0.0)):
        options = {"path": path, "pool": True, "difference": False, "name": f"{path}{smoothing}"}
        method = ExpectedGradCAM("8", references, 5, smoothing, **options)
        with pytest.warns(UserWarning, match="`difference=True`"):
            maps = method(model, images, targets)
        torch.testing.assert_close(maps, GradCAM()(model, images, targets))
        method(model, images, targets)  # warnings are errors: it is not said again


def test_with_the_image_for_reference_it_is_grad_cam() -> None:
    model, (images, targets) = relu_network(), pictures(1)
    for path in ("input", "activation"):
        for pool, same in ((True, GradCAM), (False, HiResCAM)):
            options = {"path": path, "difference": False, "num_samples": 3, "pool": pool, "name": f"{path}{pool}"}
            with pytest.warns(UserWarning, match="`difference=True`"):  # nothing varies where there is no way to go
                maps = ExpectedGradCAM("2", images, **options)(model, images, targets)
            torch.testing.assert_close(maps, same("2")(model, images, targets))
        assert not ExpectedGradCAM("2", images, path=path)(model, images, targets).any()


@pytest.mark.parametrize("path", ["input", "activation"])
def test_from_one_reference_it_is_the_path_averaged_gradient(path: str) -> None:
    model, (images, targets) = relu_network(), pictures(3)
    reference = pictures(1, seed=7)[0]
    with torch.no_grad():
        start, end = model[:3](reference), model[:3](images)
    total = torch.zeros_like(end)
    for step in range(300):
        position = (step + 0.5) / 300
        point = torch.lerp(start.expand_as(end), end, position)
        if path == "input":
            point = model[:3](torch.lerp(reference.expand_as(images), images, position)).detach()
        point.requires_grad_()
        total += torch.autograd.grad(model[3:](point).gather(1, targets[:, None]).sum(), point)[0] / 300
    options = {"layer": "2", "references": reference, "num_samples": 300, "path": path}
    close = {"rtol": 0.01, "atol": 2e-4}
    kinds = {
        "pooled": ExpectedGradCAM(pool=True, difference=False, **options),
        "layered": ExpectedGradCAM(base=LayerCAM(), **options),
        "different": ExpectedGradCAM(**options),
        "both": ExpectedGradCAM(pool=True, **options),
    }
    maps = explain(model, images, targets, kinds)  # which shares the gradients
    weights = total.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(maps["pooled"], (weights * end).sum(1).relu(), **close)
    torch.testing.assert_close(maps["layered"], (total.relu() * end).sum(1).relu(), **close)
    torch.testing.assert_close(maps["different"], (total * (end - start)).sum(1).relu(), **close)
    torch.testing.assert_close(maps["both"], (weights * (end - start)).sum(1).relu(), **close)


def test_the_kernel_broadens_references_or_points() -> None:
    model, (images, targets) = relu_network(), pictures(3)
    references = pictures(2, seed=7)[0]
    for path in ("input", "activation"):
        sharp, smooth = (
            ExpectedGradCAM("2", references, 8, width, path=path)(model, images, targets) for width in (0.0, 0.2)
        )
        assert not torch.allclose(sharp, smooth, rtol=0.01)


def test_the_sampling_error_falls_with_the_number_of_draws() -> None:
    model, (images, targets) = relu_network(), pictures(3)
    references = pictures(64, seed=7)[0]
    spread = []
    for count in (4, 64):
        maps = [ExpectedGradCAM("2", references, count, seed=s)(model, images, targets) for s in range(6)]
        spread.append(torch.stack(maps).std(dim=0).mean())
    assert spread[1] < spread[0] / 3


def test_scores_scaled_shifted_and_turned_around() -> None:
    images, targets = pictures(3)
    method = ExpectedGradCAM("2", pictures(4, seed=7)[0])
    maps, model = method(relu_network(), images, targets), relu_network()
    model[9].weight.data.mul_(3)
    model[9].bias.data.add_(5)
    torch.testing.assert_close(method(model, images, targets), 3 * maps)
    model[9].weight.data.mul_(-1 / 3)
    signed = method.attribute(relu_network(), images, targets).sum(dim=1)
    torch.testing.assert_close(method(model, images, targets), (-signed).relu())


def test_references_pass_the_layer_once_and_passes_are_bounded() -> None:
    model, (images, targets) = relu_network(), pictures(6)
    method, sizes = ExpectedGradCAM("2", pictures(5, seed=7)[0], 8), list[int]()
    expected = method(model, images, targets)
    model.register_forward_hook(lambda _module, inputs, _output: sizes.append(len(inputs[0])))
    torch.testing.assert_close(method(model, images, targets, max_batch_size=3), expected)
    # In each of two chunks the images once and eight draws, and the five references once.
    assert sum(sizes) == 2 * (3 + 8 * 3) + 5
    assert max(sizes) == 3


def test_equal_paths_share_their_passes() -> None:
    model, (images, targets) = relu_network(), pictures(3)
    references, calls = References(pictures(5, seed=7)[0]), list[int]()
    model.register_forward_hook(lambda *_: calls.append(1))
    same = [
        ExpectedGradCAM("2", references, 4, path="input", pool=True, difference=False),
        ExpectedGradCAM("2", references, 4, path="input", base=LayerCAM(), name="with base"),
        ExpectedGradients(references, 4),
        GradCAM("2"),
    ]
    explain(model, images, targets, same, max_batch_size=3)
    assert len(calls) == 4 + 1
    calls.clear()
    explain(
        model, images, targets, [ExpectedGradCAM("2", references, 4), ExpectedGradCAM("2", references, 4, name="b")]
    )
    assert len(calls) == 1 + 1 + 1  # references, images, and all draws side by side


def test_without_references_it_says_so() -> None:
    method = ExpectedGradCAM()
    with pytest.raises(ValueError, match=r"'expected_grad_cam'.* 20"):
        method(small_cnn(), *pictures(2))
    assert method.with_references(pictures(3)[0])(small_cnn(), *pictures(2)).shape == (2, 8, 8)


def test_references_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(R, 3, 8, 8\).*\(2, 3, 4, 4\)"):
        ExpectedGradCAM(references=torch.rand(2, 3, 4, 4))(small_cnn(), *pictures(2))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"references": 0}, ValueError, "`references` to be at least 1"),
        ({"references": "many"}, TypeError, "`references`"),
        ({"num_samples": 0}, ValueError, "`num_samples` to be at least 1"),
        ({"smoothing": -1}, ValueError, "`smoothing` to lie in"),
        ({"path": "output"}, ValueError, "`path` to be one of"),
        ({"base": "layer_cam"}, TypeError, "`base` to be a map of gradients"),
        ({"base": LayerCAM("2")}, ValueError, "`base` to name no layer, but got '2': name it in `layer`"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ExpectedGradCAM(**options)


def test_an_attribution_is_of_one_layer() -> None:
    with pytest.raises(ValueError, match="`layer`"):
        ExpectedGradCAM(["2", "5"], pictures(1)[0]).attribute(relu_network(), *pictures(1))


def test_patches_of_a_vision_transformer_have_a_map() -> None:
    images, targets = pictures(2, size=32)
    maps = ExpectedGradCAM(references=pictures(3, size=32, seed=4)[0])(tiny_vit(), images, targets)
    assert (maps.std(dim=(1, 2)) > 0).any()


def test_integrated_grad_cam_of_a_single_step_has_the_same_gradient() -> None:
    """At the image's end both look at the image."""
    model, (images, targets) = relu_network(), pictures(1)
    one = IntegratedGradCAM("5", num_steps=1, baseline=images[0])(model, images, targets)
    small = GradCAM("5")(model, images, targets)
    torch.testing.assert_close(one, small)
    assert functional.mse_loss(one, small) < 1e-10
