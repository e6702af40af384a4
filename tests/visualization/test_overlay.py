"""Colours show the values of maps."""

import pytest
import torch
from matplotlib import colormaps

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


@pytest.mark.parametrize("value", [0.0, 7.0, -7.0, torch.nan, torch.inf])
def test_a_constant_map_shows_the_darkened_image_alone(value):
    torch.testing.assert_close(overlay(GREY, torch.full((1, 3), value)), 0.7 * GREY)


def on_black(saliency, **options):
    return overlay(torch.zeros(3, *saliency.shape), saliency, **options)


def test_colour_and_opacity_follow_their_formulas():
    """Opacity is .8 times the root of a value; colours begin at a quarter of the table, so that faint ones are seen."""
    values = torch.tensor([[0.0, 0.04, 0.36, 1.0]])
    black, white = on_black(values), overlay(torch.ones(3, 1, 4), values)
    opacity = 0.8 * values.sqrt()
    torch.testing.assert_close(white - black, (0.7 * (1 - opacity)).expand(3, 1, 4), atol=2e-3, rtol=0)
    colours = torch.tensor(colormaps["inferno"](0.25 + 0.75 * values.numpy()))[..., :3].permute(2, 0, 1).float()
    torch.testing.assert_close(black, colours * opacity, atol=0.01, rtol=0)


def test_faint_relevance_is_visible_and_the_highest_does_not_hide_the_image():
    values = torch.tensor([[0.0, 0.02, 1.0]])
    plain, faint, _ = on_black(values)[0, 0].tolist()
    assert faint - plain > 0.03
    difference = overlay(torch.ones(3, 1, 3), values) - on_black(values)
    assert difference[:, 0, 2].min() > 0.1


def test_the_scale_ends_at_the_99th_percentile_of_the_values_above_the_lowest_one():
    ramp = torch.arange(201.0)[None]
    picture = on_black(ramp)
    torch.testing.assert_close(picture, on_black(ramp, limits=(0.0, 198.0)))
    assert torch.equal(picture[:, 0, 198], picture[:, 0, 200])
    assert not torch.equal(picture[:, 0, 190], picture[:, 0, 198])


def test_the_scale_of_a_signed_map_ends_at_the_99th_percentile_of_its_magnitudes():
    ramp = torch.cat([torch.arange(-50.0, 0.0), torch.arange(0.0, 201.0), torch.arange(-100.0, -50.0)])[None]
    # Of 300 magnitudes above zero three are left out.
    torch.testing.assert_close(on_black(ramp), on_black(ramp, limits=(-197.0, 197.0)))


def test_a_signed_map_and_its_negative_are_drawn_with_red_and_blue_exchanged():
    saliency = torch.tensor([[-0.5, 0.0, 1.0]])
    above, below = on_black(saliency), on_black(-saliency)
    torch.testing.assert_close(above[:, 0, 1], torch.zeros(3))
    assert above[0, 0, 2] > above[2, 0, 2]
    assert below[2, 0, 2] > below[0, 0, 2]


def test_one_hot_pixel_on_a_constant_map_is_drawn_alone():
    saliency = torch.full((20, 20), 3.0)
    saliency[4, 5] = 8.0
    picture = on_black(saliency)
    torch.testing.assert_close(picture[:, 4, 5], on_black(torch.tensor([[0.0, 1.0]]))[:, 0, 1])
    assert (picture.sum(dim=0) > 0).sum() == 1


def test_a_hot_pixel_does_not_darken_the_others():
    saliency = torch.rand(20, 20, generator=torch.Generator().manual_seed(0))
    pictures = []
    for height in (10.0, 1e4):
        saliency[4, 5] = height
        pictures.append(on_black(saliency))
    assert torch.equal(*pictures)
    assert pictures[0].mean() > 0.2


@pytest.mark.parametrize("background", [0.0, 1e-9])
def test_a_map_of_few_pixels_is_scaled_by_these(background):
    """Less than 1 % of the pixels have relevance, and the others none, or what comes from rounding."""
    saliency = background * torch.rand(40, 40, generator=torch.Generator().manual_seed(0))
    saliency[0, :5] = torch.tensor([0.2, 0.4, 0.6, 0.8, 1.0])
    brightness = on_black(saliency)[:, 0, :5].sum(dim=0)
    assert (brightness.diff() > 0.05).all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_values_that_are_not_finite_are_left_without_colour(value):
    saliency = torch.tensor([[0.0, 0.5, 1.0]])
    spoilt = torch.tensor([[0.0, value, 1.0]])
    expected = overlay(GREY, saliency)
    expected[:, 0, 1] = 0.7 * 0.5
    torch.testing.assert_close(overlay(GREY, spoilt), expected)
    assert change_overlay(GREY, saliency, spoilt).isfinite().all()


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
