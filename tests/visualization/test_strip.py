"""Strips are readable at the sizes in which front-ends show them."""

import pytest
import torch

from lightning_saliency.visualization import draw_strip

ROLES = ("first", "best", "previous", "now")


def strip(side, caption=("image 0",), **options):
    ramp = torch.linspace(0, 1, side).expand(side, side)
    return draw_strip(torch.rand(3, side, side), dict.fromkeys(ROLES, ramp), caption, change=(ramp, ramp.T), **options)


def test_pixels_of_a_small_image_become_squares_of_one_colour():
    image = torch.rand(3, 8, 8)
    picture = draw_strip(image, {"now": torch.rand(8, 8)}, [])
    label_height = 25
    tile = picture[:, label_height : label_height + 160, :160]
    expected = (image * 255).round().to(torch.uint8).repeat_interleave(20, dim=1).repeat_interleave(20, dim=2)
    assert torch.equal(tile, expected)


@pytest.mark.parametrize("side", [1, 8, 32, 33, 160, 224, 512, 700])
def test_a_strip_has_six_tiles_of_a_readable_size(side):
    width = strip(side).shape[2]
    assert 6 * 160 + 5 * 10 <= width <= 6 * 320 + 5 * 10


@pytest.mark.parametrize("side", [32, 512])
def test_letters_have_a_constant_share_of_the_width(side):
    """A front-end that shows 350 pixels leaves letters of 8, whatever the image's size."""
    one, two = (strip(side, caption) for caption in (["a"], ["a", "b"]))
    assert (two.shape[1] - one.shape[1]) * 350 / one.shape[2] >= 8


def test_long_captions_are_wrapped_and_not_cut():
    width = strip(32).shape[2]
    short, long = strip(32, ["word"]), strip(32, [" ".join(["word"] * 100)])
    assert long.shape[2] == width
    assert long.shape[1] > short.shape[1] + 100


@pytest.mark.parametrize(
    ("lowest", "limits", "words"),
    [
        (0.0, None, "scale: each map's own, up to its 99th percentile, brighter is more"),
        (0.0, (0.0, 2.5), "scale: 0 to 2.5 in all of this method's pictures of this step, brighter is more"),
        (-0.5, None, "scale: each map's own, up to its 99th percentile, red above, blue below zero"),
    ],
)
def test_the_last_line_states_the_scale(lowest, limits, words):
    image, maps = torch.rand(3, 8, 8), {"now": lowest + torch.rand(8, 8)}
    without, with_words = (draw_strip(image, maps, caption, limits=limits) for caption in ([], [words]))
    # The caption says the same as the last line, so the two blocks of text look alike.
    height = with_words.shape[1] - without.shape[1]
    margin = 7
    caption, last = with_words[:, -margin - 2 * height : -margin].chunk(2, dim=1)
    assert (last < 128).any()
    assert torch.equal(caption, last)


def test_a_map_smaller_than_the_image_is_enlarged():
    assert draw_strip(torch.rand(1, 64, 48), {"now": torch.rand(8, 6)}, []).dtype == torch.uint8


def test_thin_lines_of_a_large_map_are_averaged_before_they_are_scaled():
    """A line of one pixel in 224 stays as bright as any other when it is the only relevance."""
    line = torch.zeros(224, 224)
    line[:, 100] = 1.0
    block = torch.zeros(224, 224)
    block[:, 100:102] = 1.0
    image = torch.zeros(3, 224, 224)
    assert torch.equal(draw_strip(image, {"now": line}, []), draw_strip(image, {"now": block}, []))


def test_pictures_do_not_depend_on_the_unit_of_the_maps():
    image, saliency = torch.rand(3, 32, 32), torch.rand(32, 32)
    pictures = [draw_strip(image, {"now": unit * saliency}, []) for unit in (1.0, 1e-30, 1e30)]
    assert torch.equal(pictures[0], pictures[1])
    assert torch.equal(pictures[0], pictures[2])
