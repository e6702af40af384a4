"""Black and white in what the model is fed."""

import pytest
import torch

from lightning_saliency.passes.colours import canvas_of, check_colours, is_raw, per_channel, to_raw

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)


def test_raw_images_have_black_at_zero_and_white_at_one() -> None:
    images = torch.rand(2, 3, 4, 4)
    assert torch.equal(canvas_of("black", images, None, None), torch.zeros(1, 3, 1, 1))
    assert torch.equal(canvas_of("white", images, None, None), torch.ones(1, 3, 1, 1))


@pytest.mark.parametrize(("canvas", "level"), [("black", 0.0), ("white", 1.0)])
def test_normalised_images_have_them_where_the_normalisation_takes_them(canvas: str, level: float) -> None:
    images = torch.randn(2, 3, 4, 4)
    colour = canvas_of(canvas, images, MEAN, STD)
    torch.testing.assert_close(colour.flatten(), (level - torch.tensor(MEAN)) / torch.tensor(STD))
    torch.testing.assert_close(to_raw(colour, MEAN, STD), torch.full((1, 3, 1, 1), level))


def test_one_value_stands_for_all_channels() -> None:
    images = torch.randn(2, 3, 4)
    assert per_channel("mean", 0.5, images).tolist() == [[[0.5], [0.5], [0.5]]]
    assert per_channel("mean", [0.5], images).shape == (1, 3, 1)
    assert per_channel("mean", MEAN, images.double()).dtype == torch.float64


def test_images_without_normalisation_are_returned_as_they_are() -> None:
    images = torch.rand(1, 3, 2, 2)
    assert to_raw(images, None, None) is images


def test_rounding_does_not_make_an_image_normalised() -> None:
    assert is_raw(torch.tensor([[[-1e-5, 1 + 1e-5]]]))
    for values in ([-1e-2, 1.0], [0.0, 1.01], [0.0, torch.nan]):
        assert not is_raw(torch.tensor([[values]]))


@pytest.mark.parametrize(
    ("mean", "std"),
    [(0.5, None), (None, 0.5), (0.5, 0.0), (0.5, (0.1, -1.0)), (float("nan"), 1.0), (0.0, float("inf"))],
)
def test_a_normalisation_that_cannot_be_is_refused(mean: object, std: object) -> None:
    with pytest.raises(ValueError, match=r"Expected .*`(mean|std)`.* but got"):
        check_colours(mean, std)


def test_a_normalisation_that_can_be_is_accepted() -> None:
    check_colours(None, None)
    check_colours(0.5, (0.1, 0.2, 0.3))
