"""Where gradients are taken."""

import pytest
import torch

from lightning_saliency.passes.points import Clean, Noise, Points
from tests.models import pictures


@pytest.mark.parametrize("points", [Clean(), Noise(3, 0.1, 0)])
def test_points_are_hashable_and_equal_by_value(points: Points) -> None:
    assert {points: 1}[type(points)(**vars(points))] == 1
    assert isinstance(points, Points)


def test_clean_is_the_image() -> None:
    images, _ = pictures(2)
    assert Clean().num_steps == 1
    assert torch.equal(Clean().sample(images, 0).inputs, images)


def test_noise_is_scaled_by_each_images_own_range() -> None:
    images = torch.stack([torch.linspace(0, 1, 12), torch.linspace(-3, 5, 12)]).reshape(2, 3, 2, 2)
    noise = Noise(4, 0.25, 0).sample(images, 1).inputs - images
    torch.testing.assert_close(noise[1], noise[0] * 8)


def test_noise_has_the_level_asked_for() -> None:
    images = torch.linspace(0, 2, 3 * 64 * 64).reshape(1, 3, 64, 64)
    noise = torch.cat([Noise(8, 0.15, 0).sample(images, step).inputs - images for step in range(8)])
    assert noise.std().item() == pytest.approx(0.3, rel=0.01)
    assert abs(noise.mean().item()) < 0.01


def test_steps_and_seeds_draw_differently_and_images_alike() -> None:
    images = torch.rand(1, 3, 4, 4).expand(2, 3, 4, 4)
    draws = [Noise(2, 0.1, seed).sample(images, step).inputs for seed in (0, 1) for step in (0, 1)]
    assert all(torch.equal(draw[0], draw[1]) for draw in draws)
    assert all(not torch.equal(a, b) for i, a in enumerate(draws) for b in draws[:i])


def test_weights_of_all_steps_sum_to_one() -> None:
    images, _ = pictures(1)
    noise = Noise(7, 0.1, 0)
    assert sum(noise.sample(images, step).weight for step in range(noise.num_steps)) == pytest.approx(1)


def test_the_draw_does_not_depend_on_torchs_defaults() -> None:
    images, _ = pictures(2)
    expected = Noise(1, 0.1, 0).sample(images, 0).inputs
    default = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        with torch.device("meta"):
            noisy = Noise(1, 0.1, 0).sample(images, 0).inputs
    finally:
        torch.set_default_dtype(default)
    assert torch.equal(noisy, expected)


def test_double_precision_images_get_the_same_noise() -> None:
    images, _ = pictures(2)
    single, double = (Noise(1, 0.1, 0).sample(batch, 0).inputs for batch in (images, images.double()))
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double)
