"""Sparseness, complexity and effective complexity in closed form and by their definitions."""

import itertools
import math

import pytest
import torch

from lightning_saliency.metrics import Complexity, EffectiveComplexity, Sparseness
from tests.metrics.samples import scores_of

MAPS = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ONE_PIXEL = torch.zeros(1, 5, 6).index_fill(2, torch.tensor([3]), 0.0)
ONE_PIXEL[0, 2, 3] = -4.0


def test_sparseness_is_half_the_relative_mean_difference():
    magnitudes = MAPS[0].abs().flatten().tolist()
    differences = sum(abs(a - b) for a, b in itertools.product(magnitudes, repeat=2))
    gini = differences / (2 * len(magnitudes) * sum(magnitudes))
    assert scores_of(Sparseness(), MAPS)[0].item() == pytest.approx(gini)


def test_complexity_is_the_entropy_of_shares():
    magnitudes = MAPS[1].abs().flatten().tolist()
    shares = [value / sum(magnitudes) for value in magnitudes]
    assert scores_of(Complexity(), MAPS)[1].item() == pytest.approx(-sum(p * math.log(p) for p in shares))


def test_one_pixel_is_the_sparsest_and_simplest_map():
    assert scores_of(Sparseness(), ONE_PIXEL).item() == pytest.approx(1 - 1 / 30)
    assert scores_of(Complexity(), ONE_PIXEL).item() == 0
    assert scores_of(EffectiveComplexity(), ONE_PIXEL).item() == pytest.approx(1 / 30)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_maps_are_the_least_sparse_and_most_complex(value):
    flat = torch.full((1, 5, 6), value)
    assert scores_of(Sparseness(), flat).item() == pytest.approx(0, abs=1e-7)
    assert scores_of(Complexity(), flat).item() == pytest.approx(math.log(30))
    assert scores_of(EffectiveComplexity(), flat).item() == (1 if value else 0)


def test_effective_complexity_counts_what_exceeds_the_threshold():
    maps = torch.tensor([[[0.0, 1.0, 2.0, -3.0, 10.0]]])
    assert scores_of(EffectiveComplexity(threshold=0.2), maps).item() == pytest.approx(0.4)


def test_threshold_of_one_is_refused():
    with pytest.raises(ValueError, match=r"Expected `threshold` to lie in \[0, 1\), but got 1"):
        EffectiveComplexity(1.0)
