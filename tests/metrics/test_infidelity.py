"""Infidelity against worked numbers, captum and its authors' procedure, one image at a time."""

from functools import partial

import pytest
import torch
from captum.metrics import infidelity as captum_infidelity

from lightning_saliency.metrics import Infidelity, Noised
from lightning_saliency.passes.perturbations import draw_squares
from tests.metrics.samples import FIRST, batch, curved, maps_of, summing

WEIGHT = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)


class Attributing:
    """A method whose attributions are given."""

    name = "given"

    def __init__(self, attributions):
        self.attributions = attributions

    def __call__(self, model, images, targets):
        return self.attributions.abs().sum(dim=1)

    def attribute(self, model, images, targets):
        return self.attributions


def linear(images):
    score = images.flatten(1) @ WEIGHT
    return torch.stack([score, torch.zeros_like(score)], dim=1)


@pytest.mark.parametrize(
    ("attribution", "scale", "expected"),
    [(0 * WEIGHT, False, 0.56), (2 * WEIGHT, False, 0.56), (2 * WEIGHT, True, 0.0), (WEIGHT.abs(), True, 0.457143)],
)
def test_worked_numbers_of_a_linear_score_are_met_by_sampled_noise(attribution, scale, expected):
    images = torch.tensor([[[0.0, 0.5, 1.0]]], dtype=torch.float64)
    score = Infidelity("gaussian", num_samples=4000, normalize=False, scale=scale).scores(
        linear, images, images[:, 0], FIRST, method=Attributing(attribution.reshape(1, 1, 3)), max_batch_size=500
    )
    assert score.item() == pytest.approx(expected, rel=0.1, abs=1e-9)


@pytest.mark.parametrize("normalize", [False, True])
def test_gradient_of_a_linear_score_explains_all_noise(normalize):
    images = torch.tensor([[[0.0, 0.5, 1.0]]], dtype=torch.float64)
    method = Attributing(3 * WEIGHT.reshape(1, 1, 3))
    score = Infidelity(perturbation="gaussian", normalize=normalize).scores(
        linear, images, images[:, 0], FIRST, method=method
    )
    assert score.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("scale", [False, True])
def test_gaussian_agrees_with_captum_on_the_same_noise(scale):
    images, targets = batch()
    model = curved()
    attributions = torch.randn(images.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    options = {"num_samples": 12, "noise_level": 0.3, "seed": 7}
    scores = Infidelity(perturbation="gaussian", normalize=False, scale=scale, **options).scores(
        model, images, images[:, 0], targets, method=Attributing(attributions)
    )
    noise = torch.stack([Noised(0.3, 7, index).noise(images) for index in range(12)], dim=1)

    def perturb(inputs):
        return noise.flatten(0, 1), inputs - noise.flatten(0, 1)

    expected = captum_infidelity(
        model, perturb, images, attributions, target=targets, n_perturb_samples=12, normalize=scale
    )
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_squares_agree_with_captum_on_the_same_squares(scale, ties):
    images, targets = batch()
    model, maps = curved(), maps_of(images, ties=ties)
    scores = Infidelity(num_samples=12, normalize=False, scale=scale).scores(
        model, images, maps, targets, max_batch_size=7
    )
    squares = draw_squares(12, (6, 7), 0)[None, :, None].expand(5, 12, 2, 6, 7).flatten(0, 1)
    # captum sums over channels, a map has none.
    attributions = torch.stack([maps, 0 * maps], dim=1)

    def perturb(inputs):
        return squares.double(), inputs * ~squares

    expected = captum_infidelity(
        model, perturb, images, attributions, target=targets, n_perturb_samples=12, normalize=scale
    )
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize("ties", [False, True])
def test_unexplained_fraction_agrees_with_the_authors_procedure(ties):
    images, targets = batch()
    model, maps = curved(), maps_of(images, ties=ties)
    naive = []
    for image, map_, target in zip(images, maps, targets.tolist(), strict=True):
        said, done = [], []
        for square in draw_squares(40, (6, 7), 0):
            said.append(map_[square].sum().item())
            with torch.no_grad():
                done.append((model(image[None]) - model((image * ~square)[None]))[0, target].item())
        best = sum(s * d for s, d in zip(said, done, strict=True)) / sum(s * s for s in said)
        left = sum((d - best * s) ** 2 for s, d in zip(said, done, strict=True))
        naive.append(left / sum(d * d for d in done))
    scores = Infidelity().scores(model, images, maps, targets, max_batch_size=3)
    torch.testing.assert_close(scores, torch.tensor(naive).double(), atol=1e-6, rtol=0)


def test_squares_have_sides_of_up_to_ten_of_twenty_eight_pixels_and_lie_inside():
    squares = draw_squares(2000, (28, 30), 0)
    heights, widths = squares.any(dim=2).sum(dim=1), squares.any(dim=1).sum(dim=1)
    assert torch.equal(heights, widths)
    assert torch.equal(squares.sum(dim=(1, 2)), heights * widths)
    assert heights.unique().tolist() == list(range(1, 11))
    assert bool(squares.any(dim=0).all())


def test_map_of_zeros_explains_nothing():
    images, targets = batch()
    torch.testing.assert_close(
        Infidelity().scores(curved(), images, torch.zeros(5, 6, 7), targets), torch.ones(5, dtype=torch.float64)
    )


def test_logit_that_never_moves_counts_as_unexplained():
    images, targets = batch()
    constant = partial(torch.zeros, 5, 3)
    model = lambda images: constant()[:1].expand(len(images), 3)  # noqa: E731
    assert Infidelity().scores(model, images, images[:, 0], targets).tolist() == [1] * 5
    assert Infidelity(normalize=False).scores(model, images, images[:, 0], targets).tolist() == [0] * 5


def test_image_itself_explains_a_sum_on_black():
    images = torch.rand(2, 1, 6, 6, dtype=torch.float64)
    score = Infidelity().scores(summing, images, 5 * images[:, 0], FIRST.expand(2) + 1)
    torch.testing.assert_close(score, torch.zeros(2).double(), atol=1e-12, rtol=0)


def test_method_without_attributions_is_refused_by_name():
    images, targets = batch()
    metric = Infidelity("gaussian")
    with pytest.raises(ValueError, match=r"Expected method 'maps' to have signed attributions .* leave the method out"):
        metric.update(curved(), images, images[:, 0], targets, method=lambda model, images, targets: images[:, 0])
    with pytest.raises(ValueError, match="Expected `method` for metric 'infidelity_gaussian', but got None"):
        metric.update(curved(), images, images[:, 0], targets)


def test_attributions_of_a_layer_are_refused():
    images, targets = batch()
    with pytest.raises(ValueError, match=r"to have the images' shape \(5, 2, 6, 7\) .* but got \(5, 8, 3, 3\)"):
        Infidelity(perturbation="gaussian").scores(
            curved(), images, images[:, 0], targets, method=Attributing(torch.zeros(5, 8, 3, 3))
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"perturbation": "circle"}, "Expected `perturbation` to be one of 'square', 'gaussian', but got 'circle'"),
        ({"num_samples": 1}, "Expected `num_samples` to be at least 2, but got 1"),
        ({"noise_level": -1.0}, "Expected `noise_level` to lie in"),
        ({"seed": -1}, "Expected `seed` to be at least 0, but got -1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Infidelity(**arguments)
