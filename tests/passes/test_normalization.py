"""How raw pixels became what the model is fed."""

import numpy as np
import pytest
import torch

from lightning_saliency.passes.normalization import Normalization, check_raw, is_raw, per_channel

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)


def test_numbers_sequences_arrays_and_tensors_mean_the_same() -> None:
    expected = Normalization(MEAN, STD)
    for kind in (tuple, list, np.array, lambda values: torch.tensor(values, dtype=torch.float64)):
        assert Normalization.of(kind(MEAN), kind(STD)) == expected
    assert Normalization.of(0.5, 0.25) == Normalization.of([0.5], torch.tensor(0.25)) == Normalization((0.5,), (0.25,))


def test_no_normalisation_is_none() -> None:
    assert Normalization.of(None, None) is None


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_levels_go_to_the_models_space_and_back(level: float) -> None:
    normalization = Normalization(MEAN, STD)
    there = normalization.level(level, torch.randn(2, 3, 4, 4))
    torch.testing.assert_close(there.flatten(), (level - torch.tensor(MEAN)) / torch.tensor(STD))
    torch.testing.assert_close(normalization.to_raw(there), torch.full((1, 3, 1, 1), level))


def test_one_value_stands_for_all_channels() -> None:
    images = torch.randn(2, 3, 4)
    assert per_channel("mean", [0.5], images).tolist() == [[[0.5], [0.5], [0.5]]]
    assert per_channel("mean", MEAN, images.double()).dtype == torch.float64
    with pytest.raises(ValueError, match="`mean` to have one value, or one for each of 3 channels, but got 2"):
        per_channel("mean", (0.5, 0.4), images)


def test_rounding_does_not_make_an_image_normalised() -> None:
    assert is_raw(torch.tensor([[[-1e-5, 1 + 1e-5]]]))
    for values in ([-1e-2, 1.0], [0.0, 1.01], [0.0, torch.nan]):
        assert not is_raw(torch.tensor([[values]]))
    with pytest.raises(ValueError, match=r"images in \[0, 1\], but got values from -2 to 3"):
        check_raw(torch.tensor([[[-2.0, 3.0]]]))


@pytest.mark.parametrize(
    ("mean", "std"),
    [(0.5, None), (None, 0.5), (0.5, 0.0), (0.5, (0.1, -1.0)), (float("nan"), 1.0), (0.0, float("inf"))],
)
def test_an_impossible_normalisation_is_refused(mean: object, std: object) -> None:
    with pytest.raises(ValueError, match=r"`(mean|std)`.* but got"):
        Normalization.of(mean, std)
