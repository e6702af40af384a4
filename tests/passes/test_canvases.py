"""The paint over pixels."""

from typing import Any

import pytest
import torch

from lightning_saliency.passes.blur import gaussian_blur
from lightning_saliency.passes.canvases import Blur, Paint
from lightning_saliency.passes.normalization import Normalization

NORMALIZATION = Normalization((0.5, 0.4, 0.3), (0.2, 0.25, 0.5))


@pytest.mark.parametrize(("canvas", "level"), [("black", 0.0), ("white", 1.0)])
def test_black_and_white_are_colours_of_raw_pixels(canvas: Any, level: float) -> None:
    assert torch.equal(Paint(canvas).on(torch.rand(2, 3, 4, 4)), torch.full((1, 3, 1, 1), level))
    images = torch.randn(2, 3, 4, 4)
    assert torch.equal(Paint(canvas, NORMALIZATION).on(images), NORMALIZATION.level(level, images))
    with pytest.raises(ValueError, match="pass the `mean` and `std`"):
        Paint(canvas).on(3 * images)


def test_the_mean_is_zero_in_normalised_space_and_else_each_images_own() -> None:
    images = torch.randn(2, 3, 4, 4)
    assert torch.equal(Paint("mean", NORMALIZATION).on(images), torch.zeros(1, 3, 1, 1))
    torch.testing.assert_close(Paint("mean").on(images), images.mean(dim=(2, 3), keepdim=True))


def test_the_blur_is_the_images_own_by_the_sigma_given() -> None:
    images = torch.rand(2, 3, 9, 9)
    assert torch.equal(Paint("blur").on(images), gaussian_blur(images, 5.0, radius=5))
    assert torch.equal(Paint("blur", blur=Blur(2.0)).on(images), gaussian_blur(images, 2.0))


def test_paints_are_compared_by_what_they_are() -> None:
    assert Paint("black") == Paint("black")
    assert len({Paint("black"), Paint("white"), Paint("black", NORMALIZATION), Paint("black")}) == 3
