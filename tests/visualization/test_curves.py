"""Curves of all methods in one figure."""

import time

import pytest
import torch

from lightning_saliency.visualization import Curve, draw_curves

POINTS = [0.0, 0.5, 1.0]
AXES = ("share", "probability")
RISING = torch.tensor([0.1, 0.5, 0.9])


def figure(curves):
    return draw_curves("insertion", AXES, POINTS, curves)


def coloured(picture):
    """Count the pixels that are not grey."""
    return int((picture.amax(dim=0).int() - picture.amin(dim=0).int() > 60).sum())


def strokes(picture, row):
    """Count the pieces of a level line in a row of pixels, left of the legend and the band's end."""
    dark = (picture[0, row - 1 : row + 2].amin(dim=0) < 200).int()
    return int((dark.diff() == 1).sum())


def test_every_method_has_a_coloured_line():
    one = {"a": Curve(RISING, torch.zeros(3))}
    two = one | {"b": Curve(RISING.flip(0), torch.zeros(3))}
    assert coloured(figure(two)) > 1.5 * coloured(figure(one)) > 0


def test_a_line_goes_through_its_values():
    picture = figure({"a": Curve(RISING, torch.zeros(3))})
    colour = (picture[2].int() - picture[0].int()) > 60
    rows = [int(colour[:, column].nonzero().median()) for column in (111, 384, 656)]
    # The median leaves the legend out. The range of values spans the frame without its margins.
    assert rows[0] - rows[1] == pytest.approx(rows[1] - rows[2], abs=2)
    assert rows[0] - rows[2] == pytest.approx((407 - 37) / 1.1, abs=3)


def test_controls_are_grey():
    assert coloured(figure({"random": Curve(RISING, torch.zeros(3), is_control=True)})) == 0


def test_controls_differ_in_their_dashes():
    def level(count):
        curves = {str(number): Curve(torch.full((3,), 0.5 + number), torch.zeros(3), True) for number in range(count)}
        return figure(curves)

    both = level(2)
    rows = [int(row) for row in (both[0] < 160).sum(dim=1).topk(12).indices if 45 < row < 400]
    counts = {strokes(both, row) for row in rows}
    assert max(counts) > 1.4 * min(counts)


def test_the_band_shows_the_standard_error():
    narrow, wide = (figure({"a": Curve(RISING, torch.full((3,), error))}) for error in (0.01, 0.3))
    assert (wide < 250).any(dim=0).sum() > (narrow < 250).any(dim=0).sum()


def test_a_single_image_without_a_standard_error_is_drawn():
    assert coloured(figure({"a": Curve(RISING, torch.full((3,), torch.nan))})) > 0


@pytest.mark.parametrize("means", [[0.5, torch.nan, 0.9], [torch.nan] * 3, [0.5] * 3, [0.0] * 3, [1e-30, 0, 1e30]])
def test_any_values_are_drawn(means):
    assert figure({"a": Curve(torch.tensor(means), torch.zeros(3))}).shape == (3, 462, 704)


@pytest.mark.parametrize("label", ["$x$", "日本", "a\nb", "a" * 200, ""])
def test_any_label_is_drawn(label):
    curves = {label: Curve(RISING, torch.zeros(3))}
    assert draw_curves(label, (label, label), POINTS, curves).shape == (3, 462, 704)


def test_a_figure_takes_no_longer_than_a_small_networks_passes():
    curves = {str(number): Curve(torch.rand(21), torch.rand(21) / 9, number > 2) for number in range(4)}
    points = torch.linspace(0, 1, 21).tolist()
    draw_curves("rcap", AXES, points, curves)
    times = []
    for _ in range(5):
        started = time.process_time()
        draw_curves("rcap", AXES, points, curves)
        times.append(time.process_time() - started)
    assert min(times) < 0.05
