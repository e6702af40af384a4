"""Where charts draw what."""

import math

import pytest

from lightning_saliency.report._chart import MOST_POINTS, chart
from lightning_saliency.report._clock import Clock
from lightning_saliency.report._monitor import Line
from lightning_saliency.report._scale import Scale, spanning, ticks
from tests.report.pages import Page

NO_EPOCHS = Clock({})


def attributes(page, tag, *names):
    """List the numbers that elements of a tag have, element by element."""
    found = [float(value) for element, name, value in page.attributes if element == tag and name in names]
    return [tuple(found[place : place + len(names)]) for place in range(0, len(found), len(names))]


def drawn(lines, clock=NO_EPOCHS, **options):
    return Page(chart("rcap", lines, clock, {}, **options))


def test_points_lie_where_steps_and_values_say():
    page = drawn({"grad": Line({0: 1.0, 10: 3.0, 40: 2.0})})
    (x0, y0), (x1, y1), (x2, y2) = attributes(page, "circle", "cx", "cy")
    assert (x1 - x0) / (x2 - x0) == pytest.approx(1 / 4, abs=1e-3)
    # Upwards is less.
    assert (y0 - y2) / (y0 - y1) == pytest.approx(1 / 2, abs=1e-2)
    assert y1 < y2 < y0


def test_the_band_is_one_standard_error_on_either_side():
    lines = {"grad": Line({0: 0.0, 1: 0.0}, {0: 1.0, 1: 0.5})}
    page = drawn(lines)
    band, line = page.values("d")
    corners = [tuple(map(float, corner.split())) for corner in band.strip("MZ").split("L")]
    middle = float(line.strip("M").split("L")[0].split()[1])
    heights = [middle - y for _, y in corners]
    assert heights == pytest.approx([2 * heights[1], heights[1], -heights[1], -2 * heights[1]], abs=0.2)


def test_a_single_point_has_an_error_bar_and_no_nan():
    page = drawn({"grad": Line({5: 0.0}, {5: 0.25})})
    assert attributes(page, "circle", "cx", "cy")[0][0] == pytest.approx((62 + 508) / 2)
    assert "bar" in page.values("class")
    assert "band" not in page.values("class")
    assert "nan" not in page.source


def test_nothing_finite_is_an_empty_chart_that_says_so():
    page = drawn({"grad": Line({0: math.nan, 1: -math.inf})})
    assert "2 not finite, left out" in page.text
    assert page.values("d") == []


def test_very_many_points_are_thinned_and_the_last_is_kept():
    page = drawn({"loss": Line({step: float(step) for step in range(10_000)})})
    (path,) = page.values("d")
    assert MOST_POINTS / 2 <= path.count("L") <= MOST_POINTS
    assert path.split("L")[-1].startswith("508")
    assert page.tags["circle"] == 0


def test_zero_is_shown_and_marked_where_it_is_asked_for():
    assert "zero" in drawn({"grad": Line({0: 5.0, 1: 6.0})}, zero=True).values("class")
    assert "zero" not in drawn({"grad": Line({0: 5.0, 1: 6.0})}).values("class")


def test_epochs_are_the_axis_where_each_step_has_its_own():
    clock = Clock({9: 0, 19: 1, 24: 1})
    assert clock.axis([9, 19]).places == {9: 0, 19: 1}
    assert clock.axis([9, 19]).unit == "epoch"
    assert clock.axis([19, 24]).label(24) == "step 24"
    assert clock.axis([9, 30]).label(9) == "step 9"


def test_counts_of_steps_go_with_the_last_batch_before_them():
    clock = Clock({step: step // 10 for step in range(30)})
    assert clock.counted([10, 20]) == {10: 9, 20: 19}
    assert Clock({10: 0, 20: 1}).counted([10, 20]) == {10: 10, 20: 20}
    assert NO_EPOCHS.counted([10]) == {10: 10}


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.42), (-3e-9, 7e-9), (0.0, 1.0), (999_999.0, 1e7), (0.5, 0.500001)])
def test_ticks_are_few_round_inside_and_all_different(low, high):
    found = ticks(Scale(low, high, 0, 1), 5)
    assert 2 <= len(found) <= 6
    assert all(low - 1e-9 * abs(low) <= value <= high * (1 + 1e-9) for value, _ in found)
    assert len({label for _, label in found}) == len(found)


def test_ticks_of_epochs_are_whole():
    assert [label for _, label in ticks(Scale(0, 2, 0, 1), 8, whole=True)] == ["0", "1", "2"]
    assert [label for _, label in ticks(Scale(4.5, 5.5, 0, 1), 8, whole=True)] == ["5"]


@pytest.mark.parametrize("value", [0.0, -2.0, 3e38, 1e-38])
def test_one_value_has_a_place_in_the_middle(value):
    scale = spanning([value], 0, 100)
    assert scale(value) == 50
    assert ticks(scale, 5)
