"""SmoothGrad, SquareGrad, VarGrad and Guided AbsoluteGrad."""

import pytest
import torch

from lightning_saliency import normalize
from lightning_saliency.methods import Gradient, GuidedAbsoluteGrad, SmoothGrad, SquareGrad, VarGrad
from lightning_saliency.passes.guides import variance_guide
from lightning_saliency.passes.quantiles import quantile
from tests.methods.tiny import linear, map_from, network, pictures

SAMPLES = [
    torch.tensor([[[1, -2], [0.1, 3]]], dtype=torch.float64),
    torch.tensor([[[3, 2], [0.3, -3]]], dtype=torch.float64),
    torch.tensor([[[2, 0], [0.2, 0]]], dtype=torch.float64),
]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (GuidedAbsoluteGrad(3, percentile=0.5), [[1, 0.666333], [0, 1]]),
        (GuidedAbsoluteGrad(3, percentile=0.85), [[0.374766, 1], [0, 0.374766]]),
        (GuidedAbsoluteGrad(3, percentile=None), [[1, 0.629630], [0, 1]]),
        (GuidedAbsoluteGrad(3, guide=None), [[1, 0.629630], [0, 1]]),
        (GuidedAbsoluteGrad(3, percentile=0.5, guide="mask"), [[0, 2 / 3], [0, 1]]),
        (GuidedAbsoluteGrad(3, percentile=None, magnitude=False), [[1, 0], [0.1, 0]]),
        (SmoothGrad(3), [[1, 0], [0.1, 0]]),
    ],
)
def test_three_samples_by_hand(method, expected):
    torch.testing.assert_close(
        normalize(map_from(method, SAMPLES))[0].float(), torch.tensor(expected), atol=1e-6, rtol=0
    )


def test_variance_itself_is_the_guide_where_nothing_exceeds_the_quantile():
    variance = torch.stack(SAMPLES).var(dim=0)[None]
    weighted = torch.stack(SAMPLES).abs().sum(dim=0) * variance_guide(variance, 1.0)[0]
    expected = torch.tensor([[0.111012, 0.296218], [0, 1]])
    torch.testing.assert_close(normalize(weighted)[0].float(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("fraction", [0.0, 0.31, 0.85, 1.0])
def test_quantile_is_that_of_torch(fraction):
    values = pictures(size=(5, 7))
    expected = values.flatten(2).quantile(fraction, dim=2)[..., None, None]
    torch.testing.assert_close(quantile(values, fraction, first=2), expected)


def test_relative_guide_does_not_depend_on_the_gradients_scale():
    tenfold = [10 * sample for sample in SAMPLES]
    relative, official = GuidedAbsoluteGrad(3, percentile=0.5, guide="relative"), GuidedAbsoluteGrad(3, percentile=0.5)
    torch.testing.assert_close(map_from(relative, tenfold), 10 * map_from(relative, SAMPLES))
    assert not torch.allclose(map_from(official, tenfold), 10 * map_from(official, SAMPLES))


def test_guide_judges_each_channel_by_its_own_quantile():
    gradients = torch.randn(5, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = variance_guide(gradients.var(dim=0)[None], 0.75, "mask")
    gradients[:, 0] *= 1000
    assert torch.equal(variance_guide(gradients.var(dim=0)[None], 0.75, "mask"), weights)
    assert (weights.sum(dim=(2, 3)) == 4).all()


def test_opposite_gradients_cancel_in_the_mean_but_not_in_magnitude():
    samples = [torch.tensor([[[value, 1.0]]]) for value in (3.0, -3.0, 0.0)]
    assert map_from(SmoothGrad(3), samples)[0, 0].tolist() == [0, 1]
    assert map_from(GuidedAbsoluteGrad(3, percentile=None), samples)[0, 0].tolist() == pytest.approx([6, 3])


@pytest.mark.parametrize("guide", ["official", "mask", "relative"])
def test_affine_model_has_no_variance_and_a_zero_guided_map(guide):
    weight = torch.randn(2, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model, images = linear(weight, torch.tensor([1.0, -2.0])), pictures(size=(2, 2))
    targets = torch.tensor([0, 1, 1, 0])
    assert not GuidedAbsoluteGrad(guide=guide)(model, images, targets).any()
    assert not VarGrad()(model, images, targets).any()
    magnitudes = GuidedAbsoluteGrad(7, 0.4, None, 3)(model, images, targets) / 7
    torch.testing.assert_close(magnitudes, Gradient("sum_abs")(model, images, targets))


def test_without_noise_every_sample_is_the_gradient():
    model, images = network(), pictures()
    gradient = Gradient("sum_abs")(model, images)
    torch.testing.assert_close(SmoothGrad(3, 0)(model, images), gradient)
    torch.testing.assert_close(SmoothGrad(1, 0)(model, images), gradient)
    torch.testing.assert_close(GuidedAbsoluteGrad(3, 0, None)(model, images), 3 * gradient)
    assert not VarGrad(3, 0)(model, images).any()


def test_negating_the_model_changes_no_even_map():
    model, images, targets = network(), pictures(), torch.tensor([0, 1, 2, 3])
    for method in (GuidedAbsoluteGrad(4), VarGrad(4), SquareGrad(4)):
        opposite = method(lambda inputs: -model(inputs), images, targets)
        torch.testing.assert_close(opposite, method(model, images, targets))


def test_constants_added_to_logits_change_nothing():
    model, images, targets = network(), pictures(), torch.tensor([0, 1, 2, 3])
    for method in (GuidedAbsoluteGrad(4), SmoothGrad(4)):
        moved = method(lambda inputs: model(inputs) + torch.arange(5.0), images, targets)
        assert torch.equal(moved, method(model, images, targets))


def test_map_of_an_image_does_not_depend_on_its_neighbours_range():
    model, images = network(), pictures()
    alone = GuidedAbsoluteGrad(4)(model, images[:1])
    loud = torch.cat([images[:1], 100 * images[1:]])
    torch.testing.assert_close(GuidedAbsoluteGrad(4)(model, loud)[:1], alone)


def noisy_gradients(model, images, targets, method):
    """Gradients (n, B, C, *S) of noisy copies, one by one, with the noise that the method draws."""
    gradients = []
    noise = method.readings[0].points
    for step in range(noise.num_steps):
        inputs = noise.sample(images, step).inputs.requires_grad_()
        scores = model(inputs).gather(1, targets[:, None])
        gradients.append(torch.autograd.grad(scores.sum(), inputs)[0])
    return torch.stack(gradients)


PARTS = {
    "signed": lambda gradients: gradients,
    "positive": lambda gradients: gradients.clamp(min=0),
    "negative": lambda gradients: -gradients.clamp(max=0),
    "absolute": torch.abs,
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("guide", [None, "official", "mask", "relative"])
def test_aggregations_and_guides_agree_with_a_stack_of_gradients(part, guide):
    model, images, targets = network(), pictures(2), torch.tensor([0, 3])
    gradients = noisy_gradients(model, images, targets, SmoothGrad(6))
    parts = PARTS[part](gradients)
    weight = torch.ones_like(images)
    if guide:
        variance = gradients.var(dim=0)
        quantile = variance.flatten(2).quantile(0.6, dim=2)[..., None, None]
        below = {"official": variance, "mask": 0 * variance, "relative": variance / quantile}[guide]
        weight = torch.where(variance > quantile, 1.0, below)
    options = {"aggregation": part, "guide": guide, "percentile": 0.6}
    for method, quantity in (
        (SmoothGrad(6, **options), parts.mean(dim=0)),
        (SquareGrad(6, **options), parts.square().mean(dim=0)),
        (VarGrad(6, **options), parts.var(dim=0)),
    ):
        expected = (quantity * weight).abs().sum(dim=1)
        torch.testing.assert_close(method(model, images, targets), expected.float(), atol=0, rtol=1e-5)


def test_guided_absolute_grad_is_one_cell_of_the_ablation():
    model, images = network(), pictures()
    for magnitude, part in ((True, "absolute"), (False, "signed")):
        same = SmoothGrad(6, aggregation=part, guide="official")(model, images)
        torch.testing.assert_close(GuidedAbsoluteGrad(6, magnitude=magnitude)(model, images), 6 * same)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GuidedAbsoluteGrad(1),
        lambda: GuidedAbsoluteGrad(percentile=85),
        lambda: GuidedAbsoluteGrad(guide="hard"),
        lambda: SmoothGrad(0),
        lambda: SmoothGrad(noise_level=-0.1),
        lambda: SmoothGrad(1, guide="mask"),
        lambda: SmoothGrad(aggregation="sum"),
        lambda: SquareGrad(percentile=1.0),
        lambda: VarGrad(1),
    ],
)
def test_refuses_what_cannot_be_meant(make):
    with pytest.raises(ValueError, match="`"):
        make()
