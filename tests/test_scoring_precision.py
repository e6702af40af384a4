"""Scores from predictions in bfloat16: near the exact ones, and gradients stay exact."""

import pytest
import torch
from torch import nn

from lightning_saliency import SaliencyMonitor, explain, score
from lightning_saliency.methods import GradCAM, Gradient, IntegratedGradients, RandomMap
from lightning_saliency.metrics import RCAP, Allegiance, CompletenessGap, Deletion, Infidelity, Insertion
from lightning_saliency.passes.precision import in_precision
from tests.cifar10 import MEAN, STD, confident
from tests.models import digits, pictures, small_cnn, trained_on_digits
from tests.traces import assert_no_trace, mixed_modes, trace_of

IMAGES, TARGETS = pictures(5)
METRICS = [RCAP(), Allegiance(), Infidelity(num_samples=4), Insertion(4)]


class Watched(nn.Module):
    """A network that notes the precision of its logits."""

    def __init__(self):
        super().__init__()
        self.network, self.precisions = small_cnn(), set()

    def forward(self, images):
        logits = self.network(images)
        self.precisions.add(logits.dtype)
        return logits


def scored(model, metrics=METRICS, **options):
    images = IMAGES.to(next(model.parameters()).dtype)
    maps = explain(small_cnn(), IMAGES, TARGETS, [RandomMap(name="random")])
    return score(model, images, maps, TARGETS, metrics, **options)["random"]


def test_exact_is_the_default():
    usual, exact = Watched(), Watched()
    scores, same = scored(usual), scored(exact, scoring_precision="exact")
    assert usual.precisions == exact.precisions == {torch.float32}
    assert all(torch.equal(scores[name], same[name]) for name in scores)


def test_bfloat16_predicts_within_autocast():
    model = Watched()
    scores = scored(model, scoring_precision="bf16")
    assert model.precisions == {torch.bfloat16}
    assert all(values.dtype == torch.float32 for values in scores.values())


def test_bfloat16_moves_mean_scores_by_less_than_half_a_standard_error():
    images, labels = (part[:60] for part in digits())
    model = trained_on_digits()
    maps = explain(model, images, labels, [Gradient()])
    exact = score(model, images, maps, labels, METRICS)["gradient"]
    rough = score(model, images, maps, labels, METRICS, scoring_precision="bf16")["gradient"]
    for name, scores in exact.items():
        assert (rough[name] - scores).mean().abs() < 0.5 * scores.std() / 60**0.5, name


def test_models_in_double_precision_are_unaffected():
    model = small_cnn().double()
    rough, exact = scored(model, scoring_precision="bf16"), scored(model)
    assert all(torch.equal(rough[name], exact[name]) for name in exact)


def test_metrics_that_explain_again_stay_exact():
    model, methods = Watched(), [IntegratedGradients(8)]
    maps = explain(model, IMAGES, TARGETS, methods)
    metrics = [CompletenessGap(), RCAP()]
    given = {"methods": methods, "scoring_precision": "bf16"}
    rough = score(model, IMAGES, maps, TARGETS, metrics, **given)["integrated_gradients"]
    exact = score(model, IMAGES, maps, TARGETS, metrics, methods=methods)["integrated_gradients"]
    assert torch.equal(rough["completeness_gap"], exact["completeness_gap"])
    assert not torch.equal(rough["rcap"], exact["rcap"])


def test_the_model_is_restored():
    model = mixed_modes(small_cnn())
    before = trace_of(model)
    scored(model, scoring_precision="bf16")
    assert_no_trace(model, before)
    assert not torch.is_autocast_enabled("cpu")


def test_a_device_without_autocast_is_refused_by_name():
    images = torch.empty(1, 3, 4, 4, device="meta")
    assert in_precision(nn.Identity(), images, "exact")(images) is images
    with pytest.raises(ValueError, match=r'`scoring_precision` must be "exact" on device \'meta\', but got \'bf16\''):
        in_precision(nn.Identity(), images, "bf16")


@pytest.mark.parametrize("value", ["fast", "auto", None, True])
def test_another_precision_is_refused(value):
    message = "`scoring_precision` to be one of 'exact', 'bf16', but got"
    with pytest.raises(ValueError, match=message):
        scored(small_cnn(), scoring_precision=value)
    with pytest.raises(ValueError, match=message):
        SaliencyMonitor(scoring_precision=value)


def test_the_monitor_takes_it():
    assert SaliencyMonitor().settings.scoring_precision == "exact"
    assert SaliencyMonitor(scoring_precision="bf16").settings.scoring_precision == "bf16"


@pytest.mark.cifar10
def test_mean_scores_of_a_trained_network_agree_within_half_a_standard_error():
    model, images, targets = confident(12)
    raw = {"mean": MEAN, "std": STD}
    metrics = [RCAP(**raw), Allegiance(**raw), Infidelity(num_samples=10, **raw), Insertion(5), Deletion(5)]
    maps = explain(model, images, targets, [Gradient(), GradCAM()])
    exact = score(model, images, maps, targets, metrics)
    rough = score(model, images, maps, targets, metrics, scoring_precision="bf16")
    for method, row in exact.items():
        for metric, scores in row.items():
            error = (rough[method][metric] - scores).double().mean().abs()
            assert error < 0.5 * scores.double().std() / len(scores) ** 0.5, (method, metric)
