"""Insertion and deletion against RISE's procedure, one image at a time, and Guided AbsoluteGrad's."""

import itertools

import pytest
import torch
from scipy.ndimage import gaussian_filter

from lightning_saliency.metrics import Deletion, Insertion
from tests.metrics.samples import FIRST, batch, certain, curved, maps_of, naive_order, naive_probability

METRICS = {"insertion": Insertion, "deletion": Deletion}


def naive_curve(model, image, map_, target, kind, counts, canvas):
    """The official procedure for one image, with ties in the package's order."""
    order = naive_order(map_.flatten().tolist())
    curve = []
    for count in counts:
        top = torch.zeros(map_.numel(), dtype=torch.bool)
        top[order[:count]] = True
        inside, outside = (canvas, image) if kind == "deletion" else (image, canvas)
        changed = torch.where(top.reshape(map_.shape), inside, outside)
        curve.append(naive_probability(model, changed, target))
    return curve


def area(curve, counts, pixels=42):
    """The trapezoid over the shares of pixels that were changed."""
    steps = zip(itertools.pairwise(counts), itertools.pairwise(curve), strict=True)
    return sum((after - before) / pixels * (left + right) / 2 for (before, after), (left, right) in steps)


def blurred(image, sigma, radius):
    planes = [gaussian_filter(plane.numpy(), sigma, mode="reflect", radius=radius) for plane in image]
    return torch.stack([torch.from_numpy(plane) for plane in planes])


@pytest.mark.parametrize("kind", ["insertion", "deletion"])
@pytest.mark.parametrize("ties", [False, True])
def test_agrees_with_the_procedure_of_rise(kind, ties):
    images, targets = batch()
    model, maps = curved(), maps_of(images, ties=ties)
    scores = METRICS[kind](7, mean=(0.0,), std=(1.0,)).scores(model, images, maps, targets, max_batch_size=4)
    counts = range(0, 43, 6)
    naive = []
    for image, map_, target in zip(images, maps, targets.tolist(), strict=True):
        canvas = blurred(image, 5, 5) if kind == "insertion" else torch.zeros_like(image)
        curve = naive_curve(model, image, map_, target, kind, counts, canvas)
        naive.append(area(curve, counts))
    torch.testing.assert_close(scores, torch.tensor(naive).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["insertion", "deletion"])
def test_preset_agrees_with_the_procedure_of_guided_absolute_grad(kind):
    images, targets = batch()
    model, maps = curved(), maps_of(images, ties=True)
    scores = METRICS[kind](preset="guided_absolute_grad", mean=(0.0,), std=(1.0,)).scores(
        model, images, maps, targets, max_batch_size=4
    )
    counts = [round(step * 4.2) for step in range(10)]
    naive = []
    for image, map_, target in zip(images, maps, targets.tolist(), strict=True):
        canvas = blurred(image, 16, 16) if kind == "insertion" else torch.zeros_like(image)
        curve = naive_curve(model, image, map_, target, kind, counts, canvas)
        naive.append(area(curve, counts))
    torch.testing.assert_close(scores, torch.tensor(naive).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["insertion", "deletion"])
def test_unequal_steps_count_by_the_pixels_that_they_change(kind):
    def light_squared(images):
        share = images.flatten(1).mean(dim=1).square().clamp(1e-6, 1 - 1e-6)
        return torch.stack([share.logit(), torch.zeros_like(share)], dim=1)

    # Three steps over 5 pixels change 2, 3 and 5 of them, where the probability is 0.16, 0.36 and 1.
    images, ramp = torch.ones(1, 1, 1, 5), torch.arange(5.0).reshape(1, 1, 5)
    score = METRICS[kind](3, canvas="black").scores(light_squared, images, ramp, FIRST)
    assert score.item() == pytest.approx(0.4 * 0.08 + 0.2 * 0.26 + 0.4 * 0.68, abs=1e-5)


@pytest.mark.parametrize("kind", ["insertion", "deletion"])
def test_certain_model_scores_its_probability(kind):
    images, targets = torch.rand(2, 1, 5, 4), FIRST.expand(2)
    maps = images[:, 0]
    complete = METRICS[kind]().scores(certain(0.75), images, maps, targets)
    torch.testing.assert_close(complete, torch.full((2,), 0.75))
    narrow = METRICS[kind](preset="guided_absolute_grad").scores(certain(0.75), images, maps, targets)
    torch.testing.assert_close(narrow, torch.full((2,), 0.675))


def test_inserting_a_map_is_deleting_its_opposite():
    images, targets = batch()
    maps = maps_of(images, ties=False)
    inserted = Insertion(canvas="black").scores(curved(), images, maps, targets)
    torch.testing.assert_close(inserted, Deletion(canvas="black").scores(curved(), images, -maps, targets))


@pytest.mark.parametrize("metric", [Insertion, Deletion])
def test_curve_runs_between_canvas_and_image(metric):
    images, targets = batch()
    model = curved()
    scored = metric(4, canvas="black")
    scored.update(model, images, maps_of(images, ties=False), targets)
    fractions, curve = scored.curve()
    complete = model(images).softmax(dim=1).gather(1, targets[:, None]).mean()
    bare = model(0 * images).softmax(dim=1).gather(1, targets[:, None]).mean()
    assert fractions.tolist() == [0, 0.25, 0.5, 0.75, 1]
    ends = [bare, complete] if metric is Insertion else [complete, bare]
    torch.testing.assert_close(curve[[0, -1]], torch.stack(ends))


def test_ties_are_not_broken_in_raster_order():
    def top_row(images):
        total = images[:, 0, 0].sum(dim=1)
        return torch.stack([total, torch.zeros_like(total)], dim=1)

    images, flat = torch.ones(1, 1, 20, 20), torch.zeros(1, 20, 20)
    score = Deletion(canvas="black", steps=20).scores(top_row, images, flat, FIRST)
    raster = Deletion(canvas="black", steps=20).scores(top_row, images, -torch.arange(400.0).reshape(1, 20, 20), FIRST)
    assert score > raster + 0.2


@pytest.mark.parametrize("metric", [Insertion, Deletion])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "Expected `steps` to be at least 1, but got 0"),
        ({"preset": "rise"}, "Expected `preset` to be one of None, 'guided_absolute_grad', but got 'rise'"),
        ({"preset": "guided_absolute_grad", "steps": 5}, "Expected `preset` alone, but got .* with steps=5"),
        ({"canvas": "grey"}, "Expected `canvas` to be one of"),
    ],
)
def test_wrong_arguments_are_refused(metric, arguments, message):
    with pytest.raises(ValueError, match=message):
        metric(**arguments)
