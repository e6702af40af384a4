"""The papers' claims on a trained network: a sign is asserted only where it holds by two standard errors."""

import copy
import functools
import itertools

import pytest
import torch
from torch import Tensor

from lightning_saliency import explain, score
from lightning_saliency.methods import (
    ActiveGradient,
    BlurIntegratedGradients,
    Gradient,
    GuidedAbsoluteGrad,
    InactiveGradient,
    IntegratedGradients,
    NegativeGradient,
    PositiveGradient,
    RandomMap,
    SmoothGrad,
    VarGrad,
)
from lightning_saliency.metrics import RCAP
from lightning_saliency.passes.blur import gaussian_blur
from tests.cifar10 import MEAN, STD, confident, paired

pytestmark = pytest.mark.cifar10

PERCENTILES = (0, 0.15, 0.35, 0.5, 0.65, 0.75, 0.85, 0.95)


@functools.cache
def scores() -> dict[str, Tensor]:
    """RCAP of every method and image; all noise methods share one stream."""
    model, images, targets = confident(150)
    methods = [
        RandomMap(),
        Gradient(),
        SmoothGrad(),
        VarGrad(),
        GuidedAbsoluteGrad(magnitude=False, name="guided_sum"),
        *(GuidedAbsoluteGrad(percentile=percentile, name=f"guided_{percentile}") for percentile in PERCENTILES),
    ]
    maps = explain(model, images, targets, methods)
    found = score(model, images, maps, targets, [RCAP(mean=MEAN, std=STD)])
    return {name: row["rcap"] for name, row in found.items()}


@pytest.fixture(autouse=True)
def _with_data():
    confident(1)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("guided_0.85", "var_grad"),
        ("var_grad", "gradient"),
        ("var_grad", "smooth_grad"),
        ("gradient", "random_map"),
        ("smooth_grad", "random_map"),
    ],
)
def test_rcap_orders_the_methods_as_the_paper_does(better, worse):
    assert paired(scores()[better], scores()[worse]) > 2


def test_rcap_rises_with_the_percentile_as_far_as_this_many_images_tell():
    rises = {
        (low, high): paired(scores()[f"guided_{high}"], scores()[f"guided_{low}"])
        for low, high in itertools.pairwise(PERCENTILES)
    }
    assert min(rises[pair] for pair in ((0.15, 0.35), (0.5, 0.65), (0.65, 0.75))) > 2
    assert min(rises.values()) > -2
    assert paired(scores()["guided_0.95"], scores()["guided_0.5"]) > 2


@pytest.mark.parametrize(
    ("better", "worse"),
    [("guided_0", "smooth_grad"), ("guided_sum", "smooth_grad"), ("guided_0.85", "guided_0")],
    ids=["magnitude without guide", "guide on signed sums", "guide on magnitudes"],
)
def test_magnitude_and_guide_each_raise_rcap(better, worse):
    assert paired(scores()[better], scores()[worse]) > 2


def test_positive_and_negative_pixels_are_as_many_and_active_ones_fewer():
    model, images, targets = confident(150)
    methods = [PositiveGradient(), NegativeGradient(), ActiveGradient(), InactiveGradient()]
    maps = explain(model, images, targets, methods)
    positive, negative, active, inactive = ((maps[method.name] > 0).flatten(1).double().mean(1) for method in methods)
    assert abs(paired(positive, negative)) < 2
    assert abs(paired(active, inactive)) < 2
    assert paired(positive, 2 * active) > 2
    assert paired(active, torch.full_like(active, 0.1)) > 2


def test_official_guide_is_almost_a_mask_on_this_network():
    model, images, targets = confident(20)
    official, mask = (
        explain(model, images, targets, [GuidedAbsoluteGrad(guide=guide)])["guided_absolute_grad"]
        for guide in ("official", "mask")
    )
    assert (official - mask).abs().sum() < 0.1 * official.sum()


def test_attributions_add_up_on_a_real_network():
    trained, images, targets = confident(2)
    model, images = copy.deepcopy(trained).double(), images.double()
    for method, start in (
        (IntegratedGradients(100, mean=MEAN, std=STD), 0 * images),
        (BlurIntegratedGradients(100, 5.0), gaussian_blur(images, 5.0)),
    ):
        with torch.no_grad():
            change = (model(images) - model(start)).gather(1, targets[:, None])[:, 0]
        found = method.attribute(model, images, targets).flatten(1).sum(dim=1)
        assert ((found - change).abs() < 0.1 * change.abs()).all()
