"""Curves of all methods in one figure."""

import matplotlib as mpl
import torch
from matplotlib import pyplot as plt

from lightning_saliency.visualization import Curve, draw_curves

POINTS = [0.0, 0.5, 1.0]
AXES = ("share", "probability")


def figure(curves):
    return draw_curves("insertion", AXES, POINTS, curves)


def coloured(picture):
    """Count the pixels that are not grey."""
    return int((picture.amax(dim=0).int() - picture.amin(dim=0).int() > 60).sum())


def test_every_method_has_a_coloured_line():
    one = {"a": Curve(torch.tensor([0.1, 0.5, 0.9]), torch.zeros(3))}
    two = one | {"b": Curve(torch.tensor([0.9, 0.5, 0.1]), torch.zeros(3))}
    assert coloured(figure(two)) > 1.5 * coloured(figure(one)) > 0


def test_controls_are_grey():
    control = Curve(torch.tensor([0.1, 0.5, 0.9]), torch.zeros(3), is_control=True)
    assert coloured(figure({"random": control})) == 0


def test_the_band_shows_the_standard_error():
    means = torch.tensor([0.1, 0.5, 0.9])
    narrow, wide = (figure({"a": Curve(means, torch.full((3,), error))}) for error in (0.01, 0.3))
    assert (wide < 250).any(dim=0).sum() > (narrow < 250).any(dim=0).sum()


def test_a_single_image_without_a_standard_error_is_drawn():
    picture = figure({"a": Curve(torch.tensor([0.1, 0.5, 0.9]), torch.full((3,), torch.nan))})
    assert coloured(picture) > 0


def test_the_state_of_pyplot_is_left_alone():
    parameters, figures = dict(mpl.rcParams), plt.get_fignums()
    figure({"a": Curve(torch.rand(3), torch.rand(3))})
    assert dict(mpl.rcParams) == parameters
    assert plt.get_fignums() == figures
