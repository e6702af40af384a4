"""What positive handling of gradients costs, and what references gain, on a trained network and real images."""

import pytest
import torch

from lightning_saliency import explain, score
from lightning_saliency.methods import (
    LRP,
    EigenCAM,
    ExpectedGradCAM,
    FullGrad,
    GradCAM,
    Gradient,
    GuidedBackprop,
    InputXGradient,
    RandomMap,
)
from lightning_saliency.metrics import ClassSensitivity, CompletenessGap, Deletion, Insertion, ParameterRandomization
from tests.cifar10 import MEAN, STD, confident, paired

pytestmark = pytest.mark.cifar10


def test_positive_handling_of_gradients_loses_sight_of_the_class() -> None:
    model, images, targets = confident(32)
    kinds = {
        "signed": GradCAM("layer2"),
        "positive": GradCAM("layer2", "positive"),
        "absolute": GradCAM("layer2", "absolute"),
        "guided": GuidedBackprop(),
        "gradient": Gradient(),
        "full absolute": FullGrad(),
        "full signed": FullGrad("signed"),
        "z plus": LRP("z_plus"),
        "input x gradient": InputXGradient(signed=True),
        "eigen": EigenCAM("layer2"),
    }
    maps = explain(model, images, targets, kinds)
    found = score(model, images, maps, targets, [ClassSensitivity()], methods=kinds)
    scores = {name: row["class_sensitivity"] for name, row in found.items()}
    pairs = [
        ("positive", "signed"),
        ("absolute", "positive"),
        ("guided", "gradient"),
        ("full absolute", "full signed"),
        ("z plus", "input x gradient"),
    ]
    for more, less in pairs:
        assert paired(scores[more], scores[less]) > 5, (more, less)
    assert scores["eigen"].min() == 1


def test_positive_handling_of_gradients_hardly_notices_forgotten_parameters() -> None:
    model, images, targets = confident(24)
    kinds = {"signed": GradCAM("layer2"), "absolute": GradCAM("layer2", "absolute"), "random": RandomMap()}
    kinds |= {"guided": GuidedBackprop(), "gradient": Gradient()}
    maps = explain(model, images, targets, kinds)
    metric = ParameterRandomization(num_stages=3)
    found = score(model, images, maps, targets, [metric], methods=kinds)
    scores = {name: row["parameter_randomization"] for name, row in found.items()}
    assert paired(scores["absolute"], scores["signed"]) > 5
    assert paired(scores["guided"], scores["gradient"]) > 5
    assert scores["random"].min() == 1


def test_attributions_are_complete_on_a_trained_network() -> None:
    model, images, targets = confident(24)
    kinds = {"full": FullGrad(), "z plus": LRP("z_plus"), "alpha-beta": LRP("alpha_beta")}
    maps = explain(model, images, targets, kinds)
    found = score(model, images, maps, targets, [CompletenessGap()], methods=kinds)
    for name, row in found.items():
        assert row["completeness_gap"].max() < 1e-4, name


def test_where_the_head_is_curved_differences_from_references_are_better_than_gradients_at_the_image() -> None:
    model, images, targets = confident(32)
    references = confident(10**6).images[-20:]
    kinds = {"cam": GradCAM("layer2"), "expected": ExpectedGradCAM("layer2", references), "random": RandomMap()}
    maps = explain(model, images, targets, kinds)
    metrics = [Insertion(mean=MEAN, std=STD), Deletion(mean=MEAN, std=STD)]
    found = score(model, images, maps, targets, metrics)
    assert paired(found["expected"]["insertion"], found["cam"]["insertion"]) > 2
    assert paired(found["cam"]["deletion"], found["expected"]["deletion"]) > 2
    assert paired(found["expected"]["insertion"], found["random"]["insertion"]) > 5


def test_behind_global_pooling_no_smoothing_can_change_grad_cam() -> None:
    model, images, targets = confident(8)
    references = confident(10**6).images[-5:]
    method = ExpectedGradCAM(references=references, num_samples=5, path="input", pool=True, difference=False)
    with pytest.warns(UserWarning, match="as where the network is linear behind it"):
        maps = method(model, images, targets)
    torch.testing.assert_close(maps, GradCAM()(model, images, targets), rtol=1e-4, atol=1e-6)
