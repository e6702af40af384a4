"""Colours show the values of maps."""

import pytest
import torch

from lightning_saliency.visualization import change_overlay, displayable, overlay

GREY = torch.full((3, 1, 3), 0.5)


def brightness(picture):
    return picture.sum(dim=0).flatten().tolist()


def test_brighter_is_more():
    dark, middle, bright = brightness(overlay(GREY, torch.tensor([[0.0, 0.5, 1.0]])))
    assert dark < bright
    assert middle < bright


def test_a_map_is_drawn_by_its_own_range_whatever_its_unit():
    saliency = torch.tensor([[0.0, 0.2, 0.3]])
    torch.testing.assert_close(overlay(GREY, 1e-6 * saliency), overlay(GREY, saliency))


def test_on_a_common_scale_a_weaker_map_is_darker():
    saliency = torch.tensor([[0.0, 0.2, 0.3]])
    strong, weak = overlay(GREY, saliency, (0.0, 0.3)), overlay(GREY, saliency / 2, (0.0, 0.3))
    torch.testing.assert_close(strong, overlay(GREY, saliency))
    assert brightness(weak)[2] < brightness(strong)[2]


def test_a_signed_map_diverges_around_zero():
    red, _, blue = overlay(GREY, torch.tensor([[-0.5, 0.0, 1.0]]))
    assert blue[0, 0] > red[0, 0]
    assert red[0, 1] == pytest.approx(blue[0, 1].item(), abs=0.02)
    assert red[0, 2] > blue[0, 2]
    # Half as much is drawn half as strongly, not as the end of a separate scale.
    assert (red - blue)[0, 2] > (blue - red)[0, 0]


@pytest.mark.parametrize("saliency", [torch.zeros(1, 3), torch.full((1, 3), 7.0)])
def test_a_constant_map_shows_nothing(saliency):
    picture = overlay(GREY, saliency)
    assert picture.isfinite().all()
    assert torch.equal(picture[:, 0, :1], picture[:, 0, 2:])


def test_a_map_without_change_leaves_the_image_grey():
    saliency = torch.tensor([[0.0, 0.5, 1.0]])
    red, _, blue = change_overlay(GREY, saliency, 10 * saliency)
    torch.testing.assert_close(red, blue, atol=0.02, rtol=0)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_images_of_any_number_of_channels_are_shown_grey(channels):
    picture = displayable(torch.rand(channels, 2, 2))
    assert picture.shape == (3, 2, 2)
    assert torch.equal(picture[0], picture[2])


def test_an_image_of_unknown_normalisation_is_shown_by_its_own_range():
    picture = displayable(torch.tensor([-3.0, 1.0]).expand(3, 1, 2))
    assert picture[0].flatten().tolist() == [0.0, 1.0]
