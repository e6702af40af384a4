"""Gaussian blur against SciPy's."""

import pytest
import torch
from scipy.ndimage import gaussian_filter

from lightning_saliency.passes.blur import gaussian_blur


@pytest.mark.parametrize("space", [(9,), (6, 7), (5, 4, 3), (1, 1), (2, 11)])
@pytest.mark.parametrize(("sigma", "radius"), [(0.7, None), (2.0, None), (5.0, 5), (30.0, None)])
def test_agrees_with_scipy(space, sigma, radius):
    images = torch.rand(2, 3, *space, dtype=torch.float64)
    planes = images.flatten(0, 1).numpy()
    expected = [gaussian_filter(plane, sigma, mode="reflect", radius=radius) for plane in planes]
    blurred = gaussian_blur(images, sigma, radius=radius).flatten(0, 1)
    torch.testing.assert_close(blurred, torch.stack([torch.from_numpy(plane) for plane in expected]))


def test_mean_is_kept():
    images = torch.rand(2, 3, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(gaussian_blur(images, 3.0).mean(dim=(2, 3)), images.mean(dim=(2, 3)))


def test_without_width_nothing_changes():
    images = torch.rand(2, 3, 6, 7)
    assert gaussian_blur(images, 0.0) is images
