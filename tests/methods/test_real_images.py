"""Exact properties of methods on a trained network and real images; findings are in `examples/studies/claims.py`."""

import copy

import pytest
import torch

from lightning_saliency import explain, score
from lightning_saliency.methods import (
    LRP,
    BlurIntegratedGradients,
    ExpectedGradCAM,
    FullGrad,
    GradCAM,
    IntegratedGradients,
)
from lightning_saliency.metrics import CompletenessGap
from lightning_saliency.passes.blur import gaussian_blur
from tests.cifar10 import MEAN, STD, confident

pytestmark = pytest.mark.cifar10


def test_attributions_along_a_path_sum_to_the_difference_of_the_logits() -> None:
    trained, images, targets = confident(2)
    model, images = copy.deepcopy(trained).double(), images.double()
    for method, start in (
        (IntegratedGradients(100, mean=MEAN, std=STD), 0 * images),
        (BlurIntegratedGradients(100, 5.0), gaussian_blur(images, 5.0)),
    ):
        with torch.no_grad():
            change = (model(images) - model(start)).gather(1, targets[:, None])[:, 0]
        total = method.attribute(model, images, targets).flatten(1).sum(dim=1)
        assert ((total - change).abs() < 0.1 * change.abs()).all()


def test_attributions_without_baseline_are_complete() -> None:
    model, images, targets = confident(24)
    kinds = {"full": FullGrad(), "z plus": LRP("z_plus"), "alpha-beta": LRP("alpha_beta")}
    maps = explain(model, images, targets, kinds)
    scores = score(model, images, maps, targets, [CompletenessGap()], methods=kinds)
    assert {name: row["completeness_gap"].max().item() < 1e-4 for name, row in scores.items()} == dict.fromkeys(
        kinds, True
    )


def test_after_global_pooling_no_smoothing_can_change_grad_cam() -> None:
    model, images, targets = confident(8)
    references = confident(10**6).images[-5:]
    method = ExpectedGradCAM("layer3", references, num_samples=5, path="input", pool=True, difference=False)
    with pytest.warns(UserWarning, match="`difference=True`"):
        maps = method(model, images, targets)
    torch.testing.assert_close(maps, GradCAM()(model, images, targets), rtol=1e-4, atol=1e-6)
