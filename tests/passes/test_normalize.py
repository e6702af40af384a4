"""Each map is scaled to [0, 1] by its range."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_saliency import normalize

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=200, deadline=None)
@given(values=st.lists(FINITE, min_size=4, max_size=4))
def test_any_finite_map_lands_in_the_unit_interval(values: list[float]) -> None:
    normalized = normalize(torch.tensor(values).reshape(1, 2, 2))
    assert normalized.isfinite().all()
    assert normalized.min() == 0
    assert normalized.max() in (0, 1)


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.floats(-100, 100, width=32), min_size=6, max_size=6))
def test_order_is_copy(values: list[float]) -> None:
    maps = torch.tensor(values).reshape(1, 6)
    order = maps.argsort(dim=1)
    assert (normalize(maps).gather(1, order).diff() >= 0).all()


def test_each_map_has_its_own_range() -> None:
    maps = torch.rand(3, 4, 5)
    alone = torch.cat([normalize(part) for part in maps.split(1)])
    assert torch.equal(normalize(maps), alone)
    torch.testing.assert_close(normalize(maps * torch.tensor([2.0, 30, 0.1]).reshape(3, 1, 1) - 5), alone)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5, 1e-40, 3e38])
def test_a_constant_map_becomes_zeros(value: float) -> None:
    assert torch.equal(normalize(torch.full((2, 3, 3), value)), torch.zeros(2, 3, 3))


def test_the_greatest_spread_of_single_precision_stays_finite() -> None:
    greatest = torch.finfo(torch.float32).max
    assert normalize(torch.tensor([[-greatest, 0.0, greatest]])).tolist() == [[0.0, 0.5, 1.0]]


def test_half_precision_is_widened_and_double_copy() -> None:
    half = torch.tensor([[-6e4, 0.0, 6e4]], dtype=torch.float16)
    assert normalize(half).tolist() == [[0.0, 0.5, 1.0]]
    assert normalize(half).dtype == torch.float32
    assert normalize(half.double()).dtype == torch.float64


@pytest.mark.parametrize("space", [(5,), (3, 4), (2, 3, 4)])
def test_maps_of_any_dimension_keep_their_shape(space: tuple[int, ...]) -> None:
    assert normalize(torch.rand(2, *space)).shape == (2, *space)


def test_the_maps_given_are_not_changed() -> None:
    maps = torch.rand(2, 3, 3)
    copy = maps.clone()
    normalize(maps)
    assert torch.equal(maps, copy)


def test_a_map_that_is_constant_up_to_rounding_becomes_zeros() -> None:
    ramp = torch.arange(9.0).reshape(1, 3, 3)
    assert not normalize(3 + 1e-6 * ramp).any()
    assert normalize(3 + 1e-5 * ramp).any()
    assert normalize(1e-30 * ramp).any()
