"""A pattern that all references share is found, and what every data set has is none."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import functional

from lightning_saliency.passes.marks import shared_positions

GENERATOR = torch.Generator().manual_seed(0)


def smooth_images(count=20, side=32):
    """Images whose neighbouring values are alike, as in photographs."""
    noise = torch.rand(count, 3, side // 4, side // 4, generator=GENERATOR)
    return functional.interpolate(noise, size=(side, side), mode="bilinear") + 0.05 * torch.rand(
        count, 3, side, side, generator=GENERATOR
    )


def digits(count=20):
    images = torch.tensor(load_digits().images[:count]).float()[:, None] / 16
    return functional.pad(functional.interpolate(images, size=(20, 20), mode="bilinear"), (6, 6, 6, 6))


def box(images, value, opacity=1.0):
    images = images.clone()
    images[..., 2:6, 3:7] = (1 - opacity) * images[..., 2:6, 3:7] + opacity * value
    return images


@pytest.mark.parametrize("make", [smooth_images, digits])
def test_images_without_a_mark_share_nothing(make):
    assert shared_positions(make()) is None


@pytest.mark.parametrize("make", [smooth_images, digits])
def test_an_opaque_mark_is_found_where_it_is(make):
    shared = shared_positions(box(make(), 0.9))
    assert shared[2:6, 3:7].all()
    shared[1:7, 2:8] = False
    assert not shared.any()


def test_a_translucent_text_is_found():
    text = (torch.rand(8, 16, generator=torch.Generator().manual_seed(3)) > 0.5).float()
    images = smooth_images()
    images[..., 4:12, 8:24] = 0.5 * images[..., 4:12, 8:24] + 0.5 * text
    shared = shared_positions(images)
    assert shared[4:12, 8:24].float().mean() > 0.4
    assert not shared[14:].any()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_bars_and_frames_of_one_colour_are_no_mark(value):
    images = smooth_images()
    images[..., :4, :] = images[..., -4:, :] = value
    assert shared_positions(images) is None


def test_a_mark_on_some_of_the_images_is_not_shared():
    images = smooth_images()
    images[:10] = box(images[:10], 0.9)
    assert shared_positions(images) is None


def test_of_few_or_constant_images_nothing_is_said():
    assert shared_positions(box(smooth_images(15), 0.9)) is None
    assert shared_positions(torch.full((20, 3, 8, 8), 0.5)) is None


@pytest.mark.parametrize("space", [(40,), (8, 8, 8)])
def test_signals_and_volumes_are_looked_at_as_well(space):
    images = torch.rand(20, 1, *space, generator=GENERATOR)
    assert shared_positions(images) is None
    place = (..., *[slice(2, 7)] * len(space))
    images[place] = torch.rand(5, generator=GENERATOR)
    assert shared_positions(images)[place].any()
