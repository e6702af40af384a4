"""Integrated, expected, guided and blurred gradients, and IDGI around them."""

import math

import pytest
import torch

from lightning_saliency.methods import (
    IDGI,
    BlurIntegratedGradients,
    ExpectedGradients,
    GuidedIntegratedGradients,
    InputXGradient,
    IntegratedGradients,
    SmoothGrad,
)
from lightning_saliency.passes.blur import gaussian_blur
from tests.methods.tiny import linear, network, pictures

BLACK = {"baseline": "black"}


def logits_at(model, images, targets):
    with torch.no_grad():
        return model(images).gather(1, targets[:, None])[:, 0]


def completed(method, model, images, targets):
    return method.attribute(model, images, targets).flatten(1).sum(dim=1)


def test_integrated_gradients_of_a_linear_model_are_input_times_gradient():
    weight = torch.randn(2, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model, images, targets = linear(weight), pictures(size=(2, 2)), torch.tensor([0, 1, 1, 0])
    product = InputXGradient().attribute(model, images, targets)
    torch.testing.assert_close(IntegratedGradients(3, **BLACK).attribute(model, images, targets), product)
    torch.testing.assert_close(GuidedIntegratedGradients(9, **BLACK).attribute(model, images, targets), product)
    shifted = ExpectedGradients(torch.ones(1, 3, 2, 2), num_samples=3).attribute(model, images, targets)
    torch.testing.assert_close(shifted, (images - 1) * weight[targets].reshape(images.shape))
    blurred = BlurIntegratedGradients(3).attribute(model, images, targets)
    torch.testing.assert_close(blurred, (images - gaussian_blur(images, 50.0)) * weight[targets].reshape(images.shape))


@pytest.mark.parametrize("degree", [1, 2, 3, 7])
def test_gauss_legendre_is_exact_for_polynomials(degree):
    def model(images):
        value = images.flatten(1).sum(dim=1) ** degree
        return torch.stack([value, -value], dim=1)

    images = pictures(2)
    method = IntegratedGradients((degree + 1) // 2, **BLACK)
    expected = images.flatten(1).sum(dim=1) ** degree
    torch.testing.assert_close(completed(method, model, images, torch.zeros(2, dtype=torch.int64)), expected)


@pytest.mark.parametrize("baseline", ["black", "white", "mean", "blur", 0.3 * torch.ones(3, 1, 8)])
def test_integrated_gradients_are_complete_from_every_baseline(baseline):
    model, images, targets = network(smooth=True), pictures(), torch.tensor([0, 1, 2, 3])
    start = {
        "black": torch.zeros_like(images),
        "white": torch.ones_like(images),
        "mean": images.mean(dim=(2, 3), keepdim=True).expand_as(images),
        "blur": gaussian_blur(images, 0.8),
    }.get(baseline if isinstance(baseline, str) else "", torch.full_like(images, 0.3))
    change = logits_at(model, images, targets) - logits_at(model, start, targets)
    torch.testing.assert_close(completed(IntegratedGradients(baseline=baseline), model, images, targets), change)


def test_colours_are_those_of_raw_space():
    model, raw, targets = network(smooth=True), pictures(), torch.tensor([0, 1, 2, 3])
    colours = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}
    mean, std = (torch.tensor(values, dtype=torch.float64).reshape(3, 1, 1) for values in colours.values())
    for baseline, level in (("black", 0), ("white", 1), ("mean", mean)):
        method = IntegratedGradients(baseline=baseline, **colours)
        start = ((torch.zeros_like(raw) + level) - mean) / std
        change = logits_at(model, (raw - mean) / std, targets) - logits_at(model, start, targets)
        torch.testing.assert_close(completed(method, model, (raw - mean) / std, targets), change)


def test_image_equal_to_its_baseline_has_a_zero_map():
    model, images = network(), torch.full((2, 3, 6, 8), 0.25, dtype=torch.float64)
    for method in (IntegratedGradients(), GuidedIntegratedGradients(), BlurIntegratedGradients(), IDGI()):
        assert method(model, images).abs().max() < 1e-12


def test_expected_gradients_approach_the_mean_of_integrated_ones():
    model, images, targets = network(smooth=True), pictures(2), torch.tensor([0, 1])
    references = pictures(4, seed=9)
    each = [IntegratedGradients(baseline=one).attribute(model, images, targets) for one in references]
    result = ExpectedGradients(references, num_samples=400).attribute(model, images, targets)
    expected = torch.stack(each).mean(dim=0)
    assert (result - expected).norm() < 0.02 * expected.norm()
    mean_change = logits_at(model, images, targets) - torch.stack(
        [logits_at(model, one.expand_as(images), targets) for one in references]
    ).mean(dim=0)
    torch.testing.assert_close(result.flatten(1).sum(dim=1), mean_change, rtol=0.02, atol=0)


def test_sampling_error_of_expected_gradients_falls():
    model, images, targets = network(smooth=True), pictures(2), torch.tensor([0, 1])
    references = pictures(5, seed=9)
    exact = torch.stack([IntegratedGradients(baseline=one).attribute(model, images, targets) for one in references])

    def error(num_samples):
        draws = [ExpectedGradients(references, num_samples, seed=seed) for seed in range(5)]
        return sum((draw.attribute(model, images, targets) - exact.mean(dim=0)).norm() for draw in draws)

    assert error(100) < error(5) / 3


def test_noise_around_the_path_of_expected_gradients_is_that_of_smooth_grad():
    model, images, targets = network(), pictures(2), torch.tensor([0, 1])
    method = ExpectedGradients(images[:1] - 1, num_samples=5, noise_level=0.2)
    assert not torch.equal(method(model, images, targets), ExpectedGradients(images[:1] - 1, 5)(model, images, targets))
    near = ExpectedGradients(images[:1] - 1e-9, num_samples=5, noise_level=0.2)
    result = near.attribute(model, images[:1], targets[:1]) / 1e-9
    smooth = SmoothGrad(5, 0.2)(model, images[:1], targets[:1])
    torch.testing.assert_close(result.abs().sum(dim=1).float(), smooth, rtol=1e-4, atol=1e-6)


def test_unfilled_references_are_refused_until_they_are_filled():
    model, images = network(), pictures()
    method = ExpectedGradients(7, num_samples=3, name="mine")
    assert method.references == 7
    with pytest.raises(ValueError, match=" 7"):
        method(model, images)
    filled = method.with_references(images)
    assert filled.name == "mine"
    assert filled(model, images).shape == (4, 6, 8)
    assert method.references == 7


def test_references_are_copied_and_compared_by_identity():
    images = pictures()
    method = ExpectedGradients(images)
    before = method.references.images.clone()
    images.zero_()
    assert torch.equal(method.references.images, before)
    assert method == ExpectedGradients(method.references)
    assert method != ExpectedGradients(before)
    assert len({method, ExpectedGradients(method.references)}) == 1


def test_references_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(R, "):
        ExpectedGradients(pictures(size=(5, 5)))(network(), pictures())
    with pytest.raises(ValueError, match="baseline"):
        IntegratedGradients(baseline=pictures(2))(network(), pictures(2))


def test_blur_path_error_falls_with_more_steps():
    model, images, targets = network(smooth=True), pictures(), torch.tensor([0, 1, 2, 3])
    change = logits_at(model, images, targets) - logits_at(model, gaussian_blur(images, 5.0), targets)

    def error(num_steps):
        return (completed(BlurIntegratedGradients(num_steps, 5), model, images, targets) - change).norm()

    assert error(40) < error(10) / 4
    assert error(160) < 1e-3 * change.norm()


@pytest.mark.parametrize("sigma", [0.4, 1.7, 20.0])
def test_blur_is_that_of_scipy(sigma):
    ndimage = pytest.importorskip("scipy.ndimage")
    images = pictures(2, size=(9, 6))
    expected = ndimage.gaussian_filter(images.numpy(), (0, 0, sigma, sigma), mode="reflect", truncate=4.0)
    torch.testing.assert_close(gaussian_blur(images, sigma), torch.tensor(expected))


def naive_guided_path(gradient_of, image, start, steps, fraction, max_dist):
    """Guided integrated gradients of one image as the paper's pseudo-code has it, in pixel values."""
    x, attribution = start.clone(), torch.zeros_like(image)
    total = (image - start).abs().sum()
    for step in range(steps):
        actual = gradient_of(x)
        ranked = actual.abs()
        alpha = (step + 1) / steps
        lowest = start + (image - start) * max(alpha - max_dist, 0)
        highest = start + (image - start) * min(alpha + max_dist, 1)
        goal, gamma = total * (1 - alpha), math.inf
        while gamma > 1:
            before = x.clone()
            behind = (x - start) / (image - start) < max(alpha - max_dist, 0)
            x = torch.where(behind, lowest, x)
            left = (x - image).abs().sum()
            if math.isclose(left, goal, rel_tol=1e-9, abs_tol=1e-9):
                attribution += (x - before) * actual
                break
            ranked = torch.where((x - highest).abs() < 1e-12, math.inf, ranked)
            threshold = ranked.flatten().quantile(fraction, interpolation="lower")
            moving = (ranked <= threshold) & (ranked < math.inf)
            gamma = float((left - goal) / ((x - highest).abs() * moving).sum())
            x = torch.where(moving, highest if gamma > 1 else x + gamma * (highest - x), x)
            attribution += (x - before) * actual
    return attribution


@pytest.mark.parametrize(("steps", "fraction", "max_dist"), [(8, 0.25, 0.1), (12, 0.1, 0.02), (5, 0.6, 1.0)])
def test_guided_path_agrees_with_the_pseudo_code_image_by_image(steps, fraction, max_dist):
    model, images, targets = network(), pictures(3, size=(4, 5)), torch.tensor([0, 1, 2])
    start = torch.full_like(images[0], 0.45)
    result = GuidedIntegratedGradients(steps, fraction, max_dist, baseline=start).attribute(model, images, targets)
    for image, target, ours in zip(images, targets, result, strict=True):

        def gradient_of(point, target=target):
            inputs = point[None].clone().requires_grad_()
            return torch.autograd.grad(model(inputs)[0, target], inputs)[0][0]

        torch.testing.assert_close(ours, naive_guided_path(gradient_of, image, start, steps, fraction, max_dist))


def test_guided_path_of_all_features_is_the_left_riemann_sum():
    model, images, targets = network(), pictures(), torch.tensor([0, 1, 2, 3])
    guided = GuidedIntegratedGradients(7, 1, **BLACK).attribute(model, images, targets)
    straight = IntegratedGradients(7, rule="left", **BLACK).attribute(model, images, targets)
    torch.testing.assert_close(guided, straight)


def test_guided_path_is_complete_on_a_smooth_model_with_small_steps():
    model, images, targets = network(smooth=True), pictures(), torch.tensor([0, 1, 2, 3])
    change = logits_at(model, images, targets) - logits_at(model, 0 * images, targets)
    result = completed(GuidedIntegratedGradients(200, **BLACK), model, images, targets)
    torch.testing.assert_close(result, change, rtol=0.02, atol=1e-4)


@pytest.mark.parametrize(
    "around", [IntegratedGradients(5, **BLACK), GuidedIntegratedGradients(5, **BLACK), BlurIntegratedGradients(5, 3.0)]
)
def test_idgi_is_complete_however_few_the_steps(around):
    model, images, targets = network(), pictures(), torch.tensor([0, 1, 2, 3])
    start = gaussian_blur(images, 3.0) if isinstance(around, BlurIntegratedGradients) else 0 * images
    change = logits_at(model, images, targets) - logits_at(model, start, targets)
    torch.testing.assert_close(completed(IDGI(around), model, images, targets), change)


def test_idgi_on_a_straight_path_agrees_with_a_loop():
    model, images, targets = network(), pictures(1), torch.tensor([2])
    expected, steps = torch.zeros_like(images), 6
    for step in range(steps):
        inputs = (images * step / steps).requires_grad_()
        score = model(inputs)[0, 2]
        square = torch.autograd.grad(score, inputs)[0].square()
        expected += square / square.sum() * (model(images * (step + 1) / steps)[0, 2] - score).detach()
    result = IDGI(IntegratedGradients(steps, **BLACK)).attribute(model, images, targets)
    torch.testing.assert_close(result, expected)


def test_idgi_of_a_flat_model_is_zero_and_finite():
    maps = IDGI()(lambda images: images.flatten(1)[:, :2] * 0, pictures())
    assert torch.equal(maps, torch.zeros(4, 6, 8))


@pytest.mark.parametrize("part", ["signed", "positive", "negative", "absolute"])
@pytest.mark.parametrize("guide", [None, "mask"])
def test_path_methods_aggregate_their_steps_alike(part, guide):
    model, images, targets = network(), pictures(2), torch.tensor([0, 1])
    options = {"aggregation": part, "guide": guide, "percentile": 0.6}
    steps = 6
    gradients = []
    for step in range(steps):
        inputs = (images * step / steps).requires_grad_()
        gradients.append(torch.autograd.grad(model(inputs).gather(1, targets[:, None]).sum(), inputs)[0])
    stack = torch.stack(gradients)
    terms = stack * images
    parts = {
        "signed": terms,
        "positive": terms.clamp(min=0),
        "negative": -terms.clamp(max=0),
        "absolute": terms.abs(),
    }[part]
    weight = torch.ones_like(images)
    if guide:
        variance = stack.var(dim=0)
        weight = (variance > variance.flatten(2).quantile(0.6, dim=2)[..., None, None]).double()
    expected = (parts.mean(dim=0) * weight).abs().sum(dim=1).float()
    for method in (
        IntegratedGradients(steps, rule="left", **BLACK, **options),
        GuidedIntegratedGradients(steps, 1, **BLACK, **options),
    ):
        torch.testing.assert_close(method(model, images, targets), expected)


def test_parts_of_a_path_make_up_the_whole():
    model, images, targets = network(), pictures(), torch.tensor([0, 1, 2, 3])
    references = pictures(3, seed=5)
    for kind in (IntegratedGradients, BlurIntegratedGradients, GuidedIntegratedGradients, IDGI, ExpectedGradients):
        start = {"references": references} if kind is ExpectedGradients else {}
        maps = {part: kind(aggregation=part, **start)(model, images, targets) for part in ("positive", "negative")}
        absolute = kind(aggregation="absolute", **start)(model, images, targets)
        torch.testing.assert_close(maps["positive"] + maps["negative"], absolute)
        signed = kind(**start)(model, images, targets)
        assert (signed <= absolute * (1 + 1e-5)).all()
        assert (signed < absolute).any()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: IntegratedGradients(0), ValueError),
        (lambda: IntegratedGradients(baseline="grey"), ValueError),
        (lambda: IntegratedGradients(rule="right"), ValueError),
        (lambda: IntegratedGradients(mean=0.5), ValueError),
        (lambda: IntegratedGradients(baseline=torch.zeros(3, 2, 2, dtype=torch.int64)), TypeError),
        (lambda: IntegratedGradients(1, guide="mask"), ValueError),
        (lambda: GuidedIntegratedGradients(fraction=0), ValueError),
        (lambda: GuidedIntegratedGradients(fraction=1.5), ValueError),
        (lambda: GuidedIntegratedGradients(max_dist=-1), ValueError),
        (lambda: BlurIntegratedGradients(max_sigma=-1), ValueError),
        (lambda: ExpectedGradients(0), ValueError),
        (lambda: ExpectedGradients("train"), TypeError),
        (lambda: ExpectedGradients(torch.full((1, 1, 2, 2), math.nan)), ValueError),
        (lambda: IDGI(SmoothGrad()), TypeError),
    ],
)
def test_refuses_what_cannot_be_meant(make, error):
    with pytest.raises(error, match=r"`|eference|baseline"):
        make()


def test_black_is_refused_where_it_cannot_be_known():
    with pytest.raises(ValueError, match="mean"):
        IntegratedGradients(**BLACK)(network(), pictures() * 3 - 1)
