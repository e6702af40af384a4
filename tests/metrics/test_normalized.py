"""Divided by the prediction of the intact image, a score does not tell how sure a model is."""

import pytest
import torch
from torch import Tensor

from lightning_saliency import SaliencyMonitor, score
from lightning_saliency.metrics import RCAP, ROAD, SRG, Deletion, Insertion
from lightning_saliency.targets import Regression
from tests.metrics.samples import batch

KINDS = [RCAP, Insertion, Deletion, ROAD, SRG]
IMAGES, TARGETS = batch()
MAPS = torch.rand(5, 6, 7, generator=torch.Generator().manual_seed(3)).double()


class Sure:
    """A model whose probability of any target is proportional to the mean of an image."""

    def __init__(self, confidence: float) -> None:
        self.confidence = confidence

    def __call__(self, images: Tensor) -> Tensor:
        share = self.confidence * images.flatten(1).mean(dim=1, keepdim=True)
        return torch.cat([share / 3, share / 3, share / 3, 1 - share], dim=1).log()


def scores(metric, confidence):
    images = IMAGES.abs() / IMAGES.abs().max()
    return metric.scores(Sure(confidence), images, MAPS, TARGETS % 3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_surer_model_scores_the_same(kind):
    torch.testing.assert_close(scores(kind(normalize="intact"), 0.3), scores(kind(normalize="intact"), 0.9))
    torch.testing.assert_close(3 * scores(kind(), 0.3), scores(kind(), 0.9))


@pytest.mark.parametrize("kind", [RCAP, Insertion, Deletion, SRG])
def test_the_score_is_the_usual_one_over_the_probability_of_the_image(kind):
    images = IMAGES.abs() / IMAGES.abs().max()
    before = Sure(0.5)(images).softmax(dim=1)[torch.arange(5), TARGETS % 3]
    one, other = kind(canvas="black", normalize="intact"), kind(canvas="black")  # on black nothing is more probable
    torch.testing.assert_close(scores(one, 0.5), scores(other, 0.5) / before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_that_the_canvas_shows_better_than_the_image_counts_as_all_of_it(kind):
    def model(images: Tensor) -> Tensor:
        brightness = 30 * images.flatten(1).mean(dim=1, keepdim=True)
        return torch.cat([-brightness, 0 * brightness], dim=1)

    metric = kind(normalize="intact")
    scores = metric.scores(model, torch.rand(4, 1, 6, 7), MAPS[:4], torch.zeros(4, dtype=torch.int64))
    assert (scores.abs() <= 1 + 1e-6).all()
    assert (scores >= metric.plot_lower_bound).all()


@pytest.mark.parametrize("kind", KINDS)
def test_its_name_says_so(kind):
    assert kind(normalize="intact").name == f"{kind().name}_intact"
    assert list(SaliencyMonitor(metrics=[kind(), kind(normalize="intact")]).settings.metrics) == [
        kind().name,
        f"{kind().name}_intact",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_normalisation_is_refused(kind):
    with pytest.raises(ValueError, match=r"`normalize`.*'whole'"):
        kind(normalize="whole")


@pytest.mark.parametrize("kind", [Insertion, Deletion, ROAD, SRG])
def test_a_target_without_a_probability_has_nothing_to_divide_by(kind):
    metric = kind(normalize="intact")
    with pytest.raises(TypeError, match=f"probability.*{metric.name}"):
        score(Sure(0.5), IMAGES, {"any": MAPS}, Regression(0), [metric])


def test_both_forms_share_their_predictions():
    passed = []

    def model(images):
        passed.append(len(images))
        return Sure(0.5)(images)

    metrics = [Deletion(4), Deletion(4, normalize="intact"), SRG(4), SRG(4, normalize="intact")]
    score(model, IMAGES.abs() / IMAGES.abs().max(), {"any": MAPS}, TARGETS % 3, metrics)
    assert sum(passed) == len(IMAGES) * (2 * 3 + 2)
