"""Guided AbsoluteGrad: the official code's numbers, limiting cases, and the formula written out naively."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from lightning_saliency import normalize
from lightning_saliency.methods import Gradient, GuidedAbsoluteGrad, SmoothGrad
from lightning_saliency.passes.guides import variance_guide
from lightning_saliency.passes.quantiles import quantile
from tests.models import linear_model, pictures, small_cnn

GOLDEN = torch.tensor([[[1.0, -2], [0.1, 3]], [[3, 2], [0.3, -3]], [[2, 0], [0.2, 0]]])


class GivenGradients(nn.Module):
    """Has given gradients, one after the other, whatever it is fed: (samples, C, H, W)."""

    def __init__(self, gradients: Tensor) -> None:
        super().__init__()
        self.gradients, self.calls = gradients, 0

    def forward(self, images: Tensor) -> Tensor:
        gradient = self.gradients[self.calls % len(self.gradients)]
        self.calls += 1
        logit = (images * gradient).flatten(1).sum(dim=1)
        return torch.stack([logit, -logit], dim=1)


def explained(gradients: Tensor, percentile: float | None) -> Tensor:
    method = GuidedAbsoluteGrad(num_samples=len(gradients), percentile=percentile)
    return method(GivenGradients(gradients), torch.rand(1, *gradients.shape[1:]), torch.tensor([0]), max_batch_size=1)


@pytest.mark.parametrize(
    ("percentile", "expected"),
    [
        (0.5, [[1, 0.666333], [0, 1]]),
        (0.85, [[0.374766, 1], [0, 0.374766]]),
        (None, [[1, 0.629630], [0, 1]]),
        (0, [[1, 0.629630], [0, 1]]),
    ],
)
def test_the_official_numbers(percentile: float | None, expected: list[list[float]]) -> None:
    maps = normalize(explained(GOLDEN[:, None], percentile))
    torch.testing.assert_close(maps, torch.tensor([expected], dtype=torch.float32), rtol=0, atol=1e-6)


def test_the_official_numbers_of_the_signed_variant() -> None:
    """SmoothGrad is what is left without magnitudes and guide; the official map keeps its sign of (sum)."""
    maps = SmoothGrad(3)(GivenGradients(GOLDEN[:, None]), torch.rand(1, 1, 2, 2), torch.tensor([0]), max_batch_size=1)
    expected = torch.tensor([[[1, 0], [0.1, 0]]])
    torch.testing.assert_close(normalize(maps), expected, rtol=0, atol=1e-6)


def test_a_percentile_of_one_weights_everything_by_its_variance() -> None:
    variance = GOLDEN[:, None].var(dim=0)
    torch.testing.assert_close(variance, torch.tensor([[[1.0, 4], [0.01, 9]]]))
    assert torch.equal(variance_guide(variance[None], 1.0), variance[None])
    maps = normalize((GOLDEN.abs().sum(dim=0) * variance_guide(variance[None], 1.0)[0, 0])[None])
    torch.testing.assert_close(maps, torch.tensor([[[0.111012, 0.296218], [0, 1]]]), rtol=0, atol=1e-6)


def test_the_official_quantile() -> None:
    variance = torch.tensor([[[[1.0, 4], [0.01, 9]]]])
    assert quantile(variance, 0.5, first=2).item() == pytest.approx(2.5)
    assert quantile(variance, 0.85, first=2).item() == pytest.approx(6.75)


@pytest.mark.parametrize("fraction", [0.0, 0.15, 0.5, 0.85, 0.999])
@pytest.mark.parametrize("space", [(1, 1), (3, 3), (7, 5), (16, 16), (6,), (2, 3, 4)])
def test_the_quantile_is_torchs(fraction: float, space: tuple[int, ...]) -> None:
    values = torch.rand(2, 3, *space, dtype=torch.float64)
    expected = torch.quantile(values.flatten(2), fraction, dim=2)
    torch.testing.assert_close(quantile(values, fraction, first=2).reshape(2, 3), expected)


@pytest.mark.parametrize("percentile", [None, 0.3, 0.85])
def test_it_is_the_formula_applied_to_the_inputs_that_the_model_was_fed(percentile: float | None) -> None:
    model, (images, targets) = small_cnn().eval(), pictures(4)
    fed: list[Tensor] = []
    handle = model.register_forward_pre_hook(lambda _module, inputs: fed.append(inputs[0].detach().clone()))
    maps = GuidedAbsoluteGrad(num_samples=6, percentile=percentile)(model, images, targets, max_batch_size=9)
    handle.remove()
    noisy = torch.cat(fed).reshape(6, 4, 3, 8, 8)
    gradients = []
    for inputs in noisy.requires_grad_():
        score = -nn.functional.nll_loss(model(inputs), targets, reduction="sum")
        gradients.append(torch.autograd.grad(score, inputs)[0])
    stack = torch.stack(gradients)
    total = stack.abs().sum(dim=0)
    if percentile is not None:
        variance = torch.var(stack, dim=0)
        threshold = torch.quantile(variance.flatten(2), percentile, dim=2)[..., None, None]
        total = total * torch.where(variance > threshold, torch.ones(()), variance)
    torch.testing.assert_close(maps, total.sum(dim=1), rtol=1e-4, atol=1e-7 * total.max().item())


def test_the_inputs_that_the_model_is_fed_have_noise_of_each_images_range() -> None:
    images = torch.stack([torch.linspace(0, 1, 192), torch.linspace(2, 6, 192)]).reshape(2, 3, 8, 8)
    fed = []
    model = small_cnn().eval()
    model.register_forward_pre_hook(lambda _module, inputs: fed.append(inputs[0].detach().clone()))
    GuidedAbsoluteGrad(num_samples=40)(model, images, torch.tensor([0, 0]))
    noise = torch.cat(fed).reshape(40, 2, 3, 8, 8) - images
    assert noise[:, 0].std().item() == pytest.approx(0.15, rel=0.03)
    torch.testing.assert_close(noise[:, 1], noise[:, 0] * 4, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"num_samples": 3}, {"seed": 5}, {"noise_level": 0.6}, {"percentile": 0}])
def test_without_a_guide_it_is_the_gradient_of_an_affine_model(options: dict[str, float]) -> None:
    weight, (images, targets) = torch.randn(4, 12), pictures(4, size=2)
    model = linear_model(weight, torch.randn(4))
    maps = normalize(GuidedAbsoluteGrad(**({"percentile": None} | options))(model, images, targets))
    torch.testing.assert_close(maps, normalize(weight.abs()[targets].reshape(4, 3, 2, 2).sum(dim=1)))
    torch.testing.assert_close(maps, normalize(Gradient("sum_abs")(model, images, targets)))


def test_of_an_affine_model_no_gradient_varies_and_the_guided_map_is_zero() -> None:
    images, targets = pictures(4, size=2)
    assert not GuidedAbsoluteGrad(5)(linear_model(torch.randn(4, 12)), images, targets).any()


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_of_a_deep_affine_network_rounding_is_not_taken_for_variance(chunk: int) -> None:
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(width, 16, 3, padding=1) for width in (3, 16, 16, 16)]
    model = nn.Sequential(*convolutions, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16 * 16, 4))
    images, targets = pictures(5)
    assert not GuidedAbsoluteGrad(20)(model, images, targets, max_batch_size=chunk).any()


def test_without_noise_nothing_varies_and_absolute_grad_is_the_gradient() -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    assert not GuidedAbsoluteGrad(4, noise_level=0.0)(model, images, targets).any()
    absolute = GuidedAbsoluteGrad(4, noise_level=0.0, percentile=None)(model, images, targets)
    torch.testing.assert_close(absolute, 4 * Gradient("sum_abs")(model, images, targets))


def test_gradients_of_opposite_signs_do_not_cancel() -> None:
    gradients = torch.tensor([[[3.0, 1], [1, 1]], [[-3, 1], [1, 1]], [[0, 1], [1, 1]]])[:, None]
    assert explained(gradients, None)[0].argmax() == 0
    signed = SmoothGrad(3)(GivenGradients(gradients), torch.rand(1, 1, 2, 2), torch.tensor([0]), max_batch_size=1)
    assert signed[0, 0, 0] == 0


def test_the_models_sign_does_not_matter() -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    maps = GuidedAbsoluteGrad(5)(model, images, targets)
    with torch.no_grad():
        for parameter in model[12].parameters():
            parameter.neg_()
    assert torch.equal(GuidedAbsoluteGrad(5)(model, images, targets), maps)


def test_what_does_not_depend_on_the_image_does_not_matter() -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    maps = GuidedAbsoluteGrad(5)(model, images, targets)
    with torch.no_grad():
        model[12].bias += torch.tensor([5.0, -3, 0, 2])
    assert torch.equal(GuidedAbsoluteGrad(5)(model, images, targets), maps)


def test_one_loud_channel_does_not_switch_the_others_masks_off() -> None:
    variance = torch.rand(2, 3, 6, 6)
    loud = variance * torch.tensor([1.0, 1000, 1]).reshape(3, 1, 1)
    quiet, louder = (variance_guide(values, 0.85) == 1 for values in (variance, loud))
    assert torch.equal(quiet, louder)
    assert (quiet.sum(dim=(2, 3)) == 6).all(), "15 % of 36 positions exceed the quantile at 29.75"


def test_normalised_maps_span_the_unit_interval() -> None:
    images, targets = pictures(3)
    maps = normalize(GuidedAbsoluteGrad(5)(small_cnn(), images, targets))
    assert torch.equal(maps.amin(dim=(1, 2)), torch.zeros(3))
    assert torch.equal(maps.amax(dim=(1, 2)), torch.ones(3))


def test_higher_percentiles_keep_less() -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    totals = [GuidedAbsoluteGrad(5, percentile=p)(model, images, targets).sum(dim=(1, 2)) for p in (0, 0.3, 0.6, 0.9)]
    assert all((less < more).all() for more, less in itertools.pairwise(totals))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"percentile": 85}, ValueError, r"`percentile` to lie in \[0, 1\), but got 85: did you mean 0\.85\?"),
        ({"percentile": 1}, ValueError, r"`percentile` to lie in \[0, 1\), but got 1\."),
        ({"percentile": 101}, ValueError, r"`percentile` to lie in \[0, 1\), but got 101\."),
        ({"percentile": -0.1}, ValueError, r"`percentile` to lie in \[0, 1\), but got -0\.1"),
        ({"percentile": float("nan")}, ValueError, "`percentile` to lie in .* but got nan"),
        ({"percentile": "high"}, TypeError, "`percentile` to be a number, but got 'high'"),
        ({"percentile": True}, TypeError, "`percentile` to be a number, but got True"),
        ({"num_samples": 1}, ValueError, "`num_samples` to be at least 2, .* but got 1: take more, or `guide"),
        ({"num_samples": 0, "percentile": None}, ValueError, "`num_samples` to be at least 1, but got 0"),
        ({"noise_level": -1}, ValueError, "`noise_level` to lie in .* but got -1"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        GuidedAbsoluteGrad(**options)


def test_one_sample_is_enough_without_a_guide() -> None:
    images, targets = pictures(2)
    for percentile in (None, 0, 0.0):
        assert GuidedAbsoluteGrad(1, percentile=percentile)(small_cnn(), images, targets).any()
