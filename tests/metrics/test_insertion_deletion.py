"""Insertion and deletion against RISE's procedure, one image at a time, and Guided AbsoluteGrad's."""

import itertools

import pytest
import torch
from scipy.ndimage import gaussian_filter

from lightning_saliency.metrics import Deletion, Insertion, deletion, insertion
from tests.metrics.samples import FIRST, batch, certain, curved, maps_of, naive_order, naive_probability

FUNCTIONS = {"insertion": insertion, "deletion": deletion}


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


def blurred(image, sigma, radius):
    planes = [gaussian_filter(plane.numpy(), sigma, mode="reflect", radius=radius) for plane in image]
    return torch.stack([torch.from_numpy(plane) for plane in planes])


@pytest.mark.parametrize("kind", ["insertion", "deletion"])
@pytest.mark.parametrize("ties", [False, True])
def test_agrees_with_the_procedure_of_rise(kind, ties):
    images, targets = batch()
    model, maps = curved(), maps_of(images, ties=ties)
    scores = FUNCTIONS[kind](model, images, maps, targets, steps=7, mean=(0.0,), std=(1.0,), max_batch_size=4)
    counts = range(0, 43, 6)
    naive = []
    for image, map_, target in zip(images, maps, targets.tolist(), strict=True):
        canvas = blurred(image, 5, 5) if kind == "insertion" else torch.zeros_like(image)
        curve = naive_curve(model, image, map_, target, kind, counts, canvas)
        naive.append((sum(curve) - curve[0] / 2 - curve[-1] / 2) / (len(curve) - 1))
    torch.testing.assert_close(scores, torch.tensor(naive).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["insertion", "deletion"])
def test_preset_agrees_with_the_procedure_of_guided_absolute_grad(kind):
    images, targets = batch()
    model, maps = curved(), maps_of(images, ties=True)
    scores = FUNCTIONS[kind](
        model, images, maps, targets, preset="guided_absolute_grad", mean=(0.0,), std=(1.0,), max_batch_size=4
    )
    counts = [round(step * 4.2) for step in range(10)]
    naive = []
    for image, map_, target in zip(images, maps, targets.tolist(), strict=True):
        canvas = blurred(image, 16, 16) if kind == "insertion" else torch.zeros_like(image)
        curve = naive_curve(model, image, map_, target, kind, counts, canvas)
        naive.append(sum(0.1 * (left + right) / 2 for left, right in itertools.pairwise(curve)))
    torch.testing.assert_close(scores, torch.tensor(naive).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["insertion", "deletion"])
def test_certain_model_scores_its_probability(kind):
    images, targets = torch.rand(2, 1, 5, 4), FIRST.expand(2)
    maps = images[:, 0]
    whole = FUNCTIONS[kind](certain(0.75), images, maps, targets)
    torch.testing.assert_close(whole, torch.full((2,), 0.75))
    narrow = FUNCTIONS[kind](certain(0.75), images, maps, targets, preset="guided_absolute_grad")
    torch.testing.assert_close(narrow, torch.full((2,), 0.675))


def test_inserting_a_map_is_deleting_its_opposite():
    images, targets = batch()
    maps = maps_of(images, ties=False)
    inserted = insertion(curved(), images, maps, targets, canvas="black")
    torch.testing.assert_close(inserted, deletion(curved(), images, -maps, targets, canvas="black"))


@pytest.mark.parametrize("metric", [Insertion, Deletion])
def test_curve_runs_between_canvas_and_image(metric):
    images, targets = batch()
    model = curved()
    scored = metric(4, canvas="black")
    scored.update(model, images, maps_of(images, ties=False), targets)
    fractions, curve = scored.curve()
    whole = model(images).softmax(dim=1).gather(1, targets[:, None]).mean()
    bare = model(0 * images).softmax(dim=1).gather(1, targets[:, None]).mean()
    assert fractions.tolist() == [0, 0.25, 0.5, 0.75, 1]
    ends = [bare, whole] if metric is Insertion else [whole, bare]
    torch.testing.assert_close(curve[[0, -1]], torch.stack(ends))


def test_ties_are_not_broken_in_raster_order():
    def top_row(images):
        total = images[:, 0, 0].sum(dim=1)
        return torch.stack([total, torch.zeros_like(total)], dim=1)

    images, flat = torch.ones(1, 1, 20, 20), torch.zeros(1, 20, 20)
    score = deletion(top_row, images, flat, FIRST, canvas="black", steps=20)
    raster = deletion(top_row, images, -torch.arange(400.0).reshape(1, 20, 20), FIRST, canvas="black", steps=20)
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
