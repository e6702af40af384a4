"""Where charts draw points, bands, ticks and marks."""

import math

import pytest

from tests.report.logs import write
from tests.report.pages import chart_of, page_of

WATCHED = {"saliency/seconds": {0: 1.0}, "saliency/grad/invalid": {0: 0.0}}
# A chart stops drawing single points, then thins its line, when it has more points than this.
MOST_DOTS, MOST_POINTS = 60, 400


def loss_chart(folder, by_step):
    """Draw one line without errors."""
    write(folder, {"loss": by_step})
    return chart_of(page_of(folder), "loss")


def score_chart(folder, values, errors):
    """Draw a score with standard errors."""
    write(folder, WATCHED | {"saliency/grad/rcap": values, "saliency/grad/rcap_stderr": errors})
    return chart_of(page_of(folder), "rcap")


def positions(chart):
    return [(float(dot.get("cx")), float(dot.get("cy"))) for dot in chart.iterfind(".//circle")]


def path(chart, style):
    """Return the corners of the only path of a class, or nothing."""
    outlines = [path.get("d").strip("MZ") for path in chart.iterfind(".//path") if path.get("class") == style]
    return [tuple(map(float, corner.split())) for outline in outlines for corner in outline.split("L")]


def labels(chart, style):
    return [text.text for text in chart.iterfind(".//text") if text.get("class") == style]


def test_points_lie_where_steps_and_values_say(tmp_path):
    (x0, y0), (x1, y1), (x2, y2) = positions(loss_chart(tmp_path, {0: 1.0, 10: 3.0, 40: 2.0}))
    assert (x1 - x0) / (x2 - x0) == pytest.approx(1 / 4, abs=1e-3)
    # Upwards is less.
    assert (y0 - y2) / (y0 - y1) == pytest.approx(1 / 2, abs=1e-2)
    assert y1 < y2 < y0


def test_the_band_is_one_standard_error_on_either_side(tmp_path):
    chart = score_chart(tmp_path, {0: 0.0, 1: 0.0}, {0: 1.0, 1: 0.5})
    middle = path(chart, "line")[0][1]
    heights = [middle - y for _, y in path(chart, "band")]
    assert len(heights) == 4
    assert heights == pytest.approx([2 * heights[1], heights[1], -heights[1], -2 * heights[1]], abs=0.2)


def test_a_single_point_has_an_error_bar_and_no_band(tmp_path):
    chart = score_chart(tmp_path, {0: 0.0}, {0: 0.25})
    (dot,) = positions(chart)
    assert dot[0] == pytest.approx((62 + 508) / 2)
    assert [x for x, _ in path(chart, "bar")] == [dot[0]] * 2
    assert path(chart, "band") == []


def test_nothing_finite_is_an_empty_chart_with_a_note(tmp_path):
    chart = loss_chart(tmp_path, {0: math.nan, 1: -math.inf})
    assert chart.find("figcaption/small").text == "2 not finite, left out"
    assert chart.findall(".//path") == chart.findall(".//circle") == []


def test_very_many_points_are_thinned_and_the_last_is_kept(tmp_path):
    chart = loss_chart(tmp_path, {step: float(step) for step in range(10_000)})
    corners = path(chart, "line")
    assert MOST_POINTS / 2 <= len(corners) <= MOST_POINTS
    assert corners[-1][0] == 508
    assert positions(chart) == []


def test_up_to_a_number_of_points_each_has_a_dot(tmp_path):
    assert len(positions(loss_chart(tmp_path / "few", {step: float(step) for step in range(MOST_DOTS)}))) == MOST_DOTS
    assert positions(loss_chart(tmp_path / "many", {step: float(step) for step in range(MOST_DOTS + 1)})) == []


def test_zero_is_marked_in_margins_and_not_in_scores(tmp_path):
    scores = {
        "saliency/grad/rcap": {0: 5.0},
        "saliency/random/rcap": {0: 1.0},
        "saliency/grad/rcap_vs_random": {0: 4.0},
    }
    write(tmp_path, WATCHED | scores)
    page = page_of(tmp_path)
    zeros = [chart_of(page, title).findall(".//line[@class='zero']") for title in ("rcap", "rcap over random")]
    assert [len(lines) for lines in zeros] == [0, 1]


@pytest.mark.parametrize(
    ("epochs", "axis"),
    [
        ({9: 0.0, 19: 1.0}, ["epoch", "0", "1"]),
        ({9: 0.0, 19: 0.0}, ["step", "9", "19"]),
        ({9: 0.0}, ["step", "9", "19"]),
        ({}, ["step", "9", "19"]),
    ],
    ids=["each its epoch", "one epoch", "one without an epoch", "no epochs"],
)
def test_epochs_are_the_axis_if_each_step_has_a_different_one(tmp_path, epochs, axis):
    write(tmp_path, {"loss": {9: 0.25, 19: 0.5}} | ({"epoch": epochs} if epochs else {}))
    chart = chart_of(page_of(tmp_path), "loss")
    steps = labels(chart, "middle")
    assert [labels(chart, "end")[-1], steps[0], steps[-1]] == axis


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.42), (-3e-9, 7e-9), (0.0, 1.0), (999_999.0, 1e7), (0.5, 0.500001)])
def test_ticks_are_few_inside_and_all_different(tmp_path, low, high):
    chart = loss_chart(tmp_path, {0: low, 1: high})
    ticks = labels(chart, "end")[:-1]
    heights = [float(line.get("y1")) for line in chart.iterfind(".//line[@class='grid']")]
    assert 2 <= len(ticks) <= 6
    assert len(heights) == len(ticks) == len(set(ticks))
    assert all(20 <= height <= 190 for height in heights)
    assert heights == sorted(heights, reverse=True)
    assert [float(tick) for tick in ticks] == sorted(map(float, ticks))


def test_ticks_of_values_are_round_numbers(tmp_path):
    assert labels(loss_chart(tmp_path, {0: 0.0, 1: 1.0}), "end")[:-1] == ["0.00", "0.25", "0.50", "0.75", "1.00"]


def test_ticks_of_epochs_are_integers(tmp_path):
    for name, epochs, ticks in (("three", 3, ["0", "1", "2"]), ("one", 1, ["0"])):
        values = {10 * epoch + 9: float(epoch) for epoch in range(epochs)}
        write(tmp_path / name, {"loss": values, "epoch": values})
        assert labels(chart_of(page_of(tmp_path / name), "loss"), "middle") == ticks


@pytest.mark.parametrize("value", [0.0, -2.0, 3e38, 2e-38])
def test_one_value_has_a_position_in_the_middle_and_ticks(tmp_path, value):
    chart = loss_chart(tmp_path, {0: value})
    assert positions(chart) == [(285.0, 105.0)]
    assert labels(chart, "end")[:-1]
