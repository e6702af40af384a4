"""Similarities of maps against SciPy, torchmetrics and closed forms."""

import pytest
import torch
from scipy.stats import spearmanr
from torchmetrics.functional.image import structural_similarity_index_measure

from lightning_saliency.metrics import center_shift, spearman, ssim, top_k_iou
from tests.metrics.samples import batch, maps_of

FUNCTIONS = (spearman, ssim, top_k_iou, center_shift)
SAME = {spearman: 1.0, ssim: 1.0, top_k_iou: 1.0, center_shift: 0.0}


@pytest.fixture
def maps():
    return maps_of(batch()[0], ties=False)


@pytest.mark.parametrize("ties", [False, True])
def test_spearman_agrees_with_scipy(ties):
    first = maps_of(batch()[0], ties=ties)
    second = first.roll(1, dims=0) + 0.5 * first
    expected = [spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(first, second, strict=True)]
    torch.testing.assert_close(spearman(first, second), torch.tensor(expected).double())


def test_ssim_agrees_with_torchmetrics_where_borders_are_blank():
    first, second = torch.zeros(2, 3, 20, 20, dtype=torch.float64)
    first[:, 7:13, 6:12] = torch.rand(3, 6, 6).double()
    second[:, 8:14, 7:13] = torch.rand(3, 6, 6).double()
    first, second = (maps / maps.amax(dim=(1, 2), keepdim=True) for maps in (first, second))
    expected = structural_similarity_index_measure(first[:, None], second[:, None], data_range=1.0, reduction="none")
    torch.testing.assert_close(ssim(first, second), expected)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_map_is_like_itself_at_any_scale(function, maps):
    torch.testing.assert_close(function(maps, 3 * maps + 1), torch.full((5,), SAME[function]).double())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_order_of_the_two_does_not_matter(function, maps):
    torch.testing.assert_close(function(maps, maps.flip(0)), function(maps.flip(0), maps))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_constant_maps_are_alike_and_nothing_is_nan(function, maps):
    flat = torch.ones(5, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(function(flat, 0 * flat), torch.full((5,), SAME[function]).double())
    assert bool(function(flat, maps).isfinite().all())


def test_constant_map_beside_another_has_no_rank_correlation(maps):
    assert spearman(maps, torch.ones(5, 6, 7).double()).tolist() == [0] * 5


def test_top_pixels_of_opposite_maps_never_meet(maps):
    assert top_k_iou(maps, -maps).tolist() == [0] * 5


def test_top_pixels_are_counted_exactly():
    ramp = torch.arange(100.0).reshape(1, 10, 10)
    moved = (ramp + 5) % 100
    assert top_k_iou(ramp, moved, fraction=0.1).item() == pytest.approx(5 / 15)


def test_centre_moves_by_the_shift_of_a_spot():
    spots = torch.zeros(2, 4, 5)
    spots[0, 0, 0] = spots[1, 3, 0] = 1
    assert center_shift(spots[:1], spots[1:]).item() == pytest.approx(3 / 5)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("space", [(1, 1), (7,), (3, 4, 2)])
def test_maps_of_any_size_are_compared(function, space):
    value = function(torch.rand(2, *space), torch.rand(2, *space))
    assert value.shape == (2,)
    assert bool(value.isfinite().all())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_maps_of_different_sizes_are_refused(function):
    with pytest.raises(ValueError, match="Expected the maps of 'first' to have shape"):
        function(torch.rand(2, 4, 4), torch.rand(2, 4, 5))
