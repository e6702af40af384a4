"""What the metrics say of real maps of a trained network, beside random ones: signs that hold by two errors."""

import functools

import pytest
import torch

from lightning_saliency import explain, normalize, score
from lightning_saliency._model import explaining
from lightning_saliency.methods import GradCAM, Gradient, GuidedAbsoluteGrad, SmoothGrad
from lightning_saliency.metrics import (
    RCAP,
    ROAD,
    Allegiance,
    AverageDrop,
    Deletion,
    Infidelity,
    Insertion,
)
from tests.cifar10 import MEAN, STD, confident, paired

pytestmark = pytest.mark.cifar10

COLOURS = {"mean": MEAN, "std": STD}
METRICS = [
    *(RCAP(canvas=canvas, **COLOURS) for canvas in ("black", "white", "mean", "blur")),
    *(Allegiance(canvas, **COLOURS) for canvas in ("black", "white")),
    *(Insertion(10, **COLOURS), Deletion(10, **COLOURS), Deletion(10, canvas="black", **COLOURS)),
    *(Infidelity(**COLOURS), AverageDrop(**COLOURS), ROAD()),
]
METHODS = ("gradient", "smooth_grad", "guided_absolute_grad", "grad_cam")
COUNT = 64
# Where a method is missing, real and random maps are too close for so few images.
BEATS_RANDOM = {
    "rcap": ("gradient", "guided_absolute_grad", "grad_cam"),
    "rcap_white": ("guided_absolute_grad", "grad_cam"),
    "rcap_mean": METHODS,
    "rcap_blur": METHODS,
    "insertion": METHODS,
    "infidelity": ("smooth_grad", "grad_cam"),
    "road": METHODS,
    "average_drop": ("grad_cam",),
}
LOSES_TO_RANDOM = {
    "allegiance": METHODS,
    "allegiance_white": ("gradient", "grad_cam"),
    "deletion": ("gradient", "guided_absolute_grad"),
    "deletion_black": METHODS,
}


def random_maps(count, seed=0):
    return torch.rand(count, 32, 32, generator=torch.Generator().manual_seed(seed))


@functools.cache
def scores():
    model, images, targets = confident(COUNT)
    methods = [Gradient(), SmoothGrad(), GuidedAbsoluteGrad(), GradCAM()]
    maps = explain(model, images, targets, methods) | {"random": random_maps(len(images))}
    return score(model, images, maps, targets, METRICS)


def margin(method, metric):
    """By how many standard errors the method's maps are better than random ones."""
    better, worse = scores()[method][metric.name], scores()["random"][metric.name]
    return paired(better, worse) if metric.higher_is_better else paired(worse, better)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_real_maps_beat_random_ones_or_do_not_as_the_docstring_says(metric):
    margins = {method: margin(method, metric) for method in METHODS}
    assert all(margins[method] > 2 for method in BEATS_RANDOM.get(metric.name, ())), margins
    assert all(margins[method] < -2 for method in LOSES_TO_RANDOM.get(metric.name, ())), margins


@functools.cache
def gradients():
    """Gradients of all logits, (classes, B, C, H, W)."""
    model, images, _ = confident(COUNT)
    inputs = images.clone().requires_grad_()
    with explaining(model):
        logits = model(inputs)
        return torch.stack([torch.autograd.grad(logit.sum(), inputs, retain_graph=True)[0] for logit in logits.T])


def attitude(kind):
    """The maps of the attitude paper, written out: the predicted class's gradient against all others'."""
    model, images, _ = confident(COUNT)
    with torch.no_grad():
        predicted = model(images).argmax(dim=1)
    own = gradients()[predicted, torch.arange(len(images))]
    index = predicted.reshape(1, -1, 1, 1, 1).expand(1, *own.shape)
    kept = {
        "original": torch.ones_like(own),
        "positive": own > 0,
        "negative": own < 0,
        "active": (own > gradients().scatter(0, index, -torch.inf)).all(dim=0),
        "inactive": (own < gradients().scatter(0, index, torch.inf)).all(dim=0),
    }[kind]
    return (own.abs() * kept).amax(dim=1)


@pytest.mark.parametrize(("canvas", "kinds"), [("black", ("positive", "active")), ("white", ("negative", "inactive"))])
def test_attitude_maps_win_allegiance_over_the_original_but_not_over_chance(canvas, kinds):
    model, images, targets = confident(COUNT)
    maps = {kind: attitude(kind) for kind in ("original", *kinds)} | {"random": random_maps(len(images))}
    found = score(model, images, maps, targets, {"a": Allegiance(canvas, **COLOURS)})
    for kind in kinds:
        assert paired(found["original"]["a"], found[kind]["a"]) > 2
    assert paired(found["original"]["a"], found["random"]["a"]) > 2


def test_swapping_high_and_low_values_lowers_rcap():
    model, images, targets = confident(COUNT)
    maps = explain(model, images, targets, [GuidedAbsoluteGrad(), GradCAM()])
    swapped = {name: values.flatten(1).amax(dim=1)[:, None, None] - values for name, values in maps.items()}
    metrics = [RCAP(canvas=canvas, **COLOURS) for canvas in ("black", "mean")]
    good, bad = (score(model, images, these, targets, metrics) for these in (maps, swapped))
    for method in maps:
        for metric in metrics:
            assert paired(good[method][metric.name], bad[method][metric.name]) > 2


def test_rcap_and_insertion_fall_with_noise_in_the_map_and_deletion_does_not_tell():
    model, images, targets = confident(COUNT)
    clean = normalize(GradCAM()(model, images, targets))
    noise = random_maps(len(images))
    maps = {str(level): (1 - level) * clean + level * noise for level in (0.0, 0.5, 1.0)}
    metrics = [RCAP(**COLOURS), Insertion(10, **COLOURS), Deletion(10, canvas="black", **COLOURS)]
    found = score(model, images, maps, targets, metrics)
    for metric in ("rcap", "insertion"):
        assert paired(found["0.0"][metric], found["0.5"][metric]) > 2
        assert paired(found["0.5"][metric], found["1.0"][metric]) > 2
    assert paired(found["0.0"]["deletion_black"], found["1.0"]["deletion_black"]) > 2
