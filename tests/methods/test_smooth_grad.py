"""The gradient averaged over noisy copies."""

import pytest
import torch
from torch import Tensor

from lightning_saliency.methods import Gradient, SmoothGrad
from tests.models import linear_model, pictures, small_cnn


def test_without_noise_it_is_the_gradient() -> None:
    model, (images, targets) = small_cnn(), pictures(3)
    maps = SmoothGrad(num_samples=3, noise_level=0.0)(model, images, targets)
    torch.testing.assert_close(maps, Gradient("sum_abs")(model, images, targets))


def test_of_a_linear_model_it_is_the_gradient_whatever_the_noise() -> None:
    model, (images, targets) = linear_model(torch.randn(4, 12)), pictures(3, size=2)
    maps = SmoothGrad(num_samples=5, noise_level=0.7, seed=3)(model, images, targets)
    torch.testing.assert_close(maps, Gradient("sum_abs")(model, images, targets))


def test_of_a_square_it_is_twice_the_mean_noisy_image() -> None:
    images, targets = pictures(2, channels=1)
    fed = []

    def square(batch: Tensor) -> Tensor:
        fed.append(batch.detach())
        return batch.square().flatten(1).sum(dim=1, keepdim=True).expand(-1, 4)

    maps = SmoothGrad(num_samples=4)(square, images, targets)
    noisy = torch.cat(fed).reshape(4, 2, 8, 8)
    torch.testing.assert_close(maps, (2 * noisy.mean(dim=0)).abs())


def test_more_samples_come_closer_to_the_expectation() -> None:
    """The gradient of sum(x^3) is 3 x^2, whose mean under noise of variance s^2 is 3 (x^2 + s^2)."""
    images = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)

    def cube(batch: Tensor) -> Tensor:
        return batch.pow(3).flatten(1).sum(dim=1, keepdim=True).expand(-1, 2)

    expected = 3 * (images.square() + (0.2 * 2) ** 2)[:, 0]
    gaps = [
        (SmoothGrad(num_samples, 0.2)(cube, images, torch.tensor([0])) - expected).abs().mean()
        for num_samples in (10, 1000)
    ]
    assert gaps[1] < gaps[0] / 5


def test_seeds_give_different_maps() -> None:
    model, (images, targets) = small_cnn(), pictures(2)
    maps = [SmoothGrad(2, seed=seed)(model, images, targets) for seed in (0, 1)]
    assert not torch.allclose(*maps, rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_samples": 0}, ValueError, "`num_samples` to be at least 1, but got 0"),
        ({"num_samples": 2.0}, TypeError, r"`num_samples`.*2\.0"),
        ({"noise_level": -0.1}, ValueError, r"`noise_level` to lie in \[0, 10000\.0\), but got -0\.1"),
        ({"noise_level": float("nan")}, ValueError, "`noise_level` to lie in .* but got nan"),
        ({"noise_level": "high"}, TypeError, "`noise_level` to be a number, but got 'high'"),
        ({"seed": -1}, ValueError, "`seed` to be at least 0, but got -1"),
    ],
)
def test_noise_that_cannot_be_drawn_is_refused(
    options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        SmoothGrad(**options)
