"""Maps and images at their limits: every metric gives a defined value or leaves the image out and counts it."""

from inspect import isabstract

import pytest
import torch

from lightning_saliency import metrics, score
from lightning_saliency.metrics import ExplanationMetric, Infidelity
from tests.metrics.samples import certain

CLASSES = [
    member
    for name in metrics.__all__
    if isinstance(member := getattr(metrics, name), type)
    and issubclass(member, ExplanationMetric)
    and not isabstract(member)
]
SPACE = (4, 5)
RAMP = torch.arange(20.0).reshape(1, *SPACE) / 20
MAPS = {
    "constant": torch.full((1, *SPACE), 3.0),
    "zero": torch.zeros(1, *SPACE),
    "negative": RAMP - 2,
    "saturated": (RAMP > 0.2).float(),
    "one pixel": (RAMP == 0.5).float(),
    "duplicates": (4 * RAMP).floor(),
    "huge": 1e30 * RAMP,
    "tiny": 1e-30 * RAMP,
}


class Constant:
    """A method that always answers with the same map, and attributes it to all channels alike."""

    name = "constant"

    def __init__(self, maps):
        self.maps = maps

    def __call__(self, model, images, targets):
        return self.maps

    def attribute(self, model, images, targets, *, max_batch_size=64):
        return self.maps[:, None].expand_as(images)

    def baselines(self, images):
        return (torch.zeros_like(images),)


class Module(torch.nn.Module):
    """A function with a parameter, for metrics that randomise parameters."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, images):
        return self.scale * self.function(images)


def scores_of(metric, images, maps, model=None):
    model = model or (lambda images: torch.stack([images.flatten(1).sum(dim=1), images.flatten(1)[:, 0]], dim=1))
    model = Module(model)
    masks = torch.zeros(maps.shape, dtype=torch.bool)
    masks.flatten(1)[:, 0] = True
    targets = torch.zeros(len(images), dtype=torch.int64)
    everything = {"methods": {"maps": Constant(maps)}, "masks": masks}
    return score(model, images, {"maps": maps}, targets, {"metric": metric}, **everything)["maps"]["metric"]


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("metric", CLASSES)
def test_every_kind_of_map_has_a_finite_score(metric, kind):
    images = RAMP[:, None].expand(1, 2, *SPACE)
    result = scores_of(metric(), images, MAPS[kind])
    assert result.shape == (1,)
    assert bool(result.isfinite().all())


@pytest.mark.parametrize("metric", CLASSES)
@pytest.mark.parametrize("space", [(1, 1), (1, 6), (7,), (3, 2, 4)])
def test_images_of_any_size_have_a_finite_score(metric, space):
    images = torch.rand(2, 1, *space)
    assert bool(scores_of(metric(), images, images[:, 0]).isfinite().all())


@pytest.mark.parametrize("metric", CLASSES)
def test_model_with_a_single_logit_has_a_finite_score(metric):
    images = torch.rand(3, 1, *SPACE)
    result = scores_of(metric(), images, images[:, 0], lambda images: images.flatten(1).sum(dim=1, keepdim=True))
    assert bool(result.isfinite().all())


@pytest.mark.parametrize("metric", CLASSES)
@pytest.mark.parametrize("probability", [0.5, 1 - 1e-7])
def test_model_that_sees_nothing_has_a_finite_score(metric, probability):
    images = torch.rand(3, 1, *SPACE)
    assert bool(scores_of(metric(), images, images[:, 0], certain(probability)).isfinite().all())


@pytest.mark.parametrize("metric", CLASSES)
def test_blank_images_have_a_finite_score(metric):
    images = torch.zeros(2, 3, *SPACE)
    assert bool(scores_of(metric(), images, RAMP.expand(2, *SPACE)).isfinite().all())


def test_blank_images_have_no_noise_to_explain():
    images = torch.zeros(2, 3, *SPACE)
    assert scores_of(Infidelity("gaussian"), images, RAMP.expand(2, *SPACE)).tolist() == [1, 1]


@pytest.mark.parametrize("metric", CLASSES)
def test_every_metric_says_what_it_is(metric):
    instance = metric()
    assert isinstance(instance.higher_is_better, bool)
    assert isinstance(instance.lacks_normalization, bool)
    assert instance.name == metric.name == metric(name=metric.name).name
    assert set(instance.needs) <= {"methods", "masks"}
    assert metric(name="mine").name == "mine"
