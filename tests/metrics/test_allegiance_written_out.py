"""Allegiance against the worked numbers of its paper and its official procedure, one image at a time."""

import pytest
import torch

from lightning_saliency.metrics import Allegiance
from tests.metrics.samples import FIRST, batch, certain, curved, maps_of, naive_minmax

FRACTIONS = Allegiance().points

LEVELS = {"black": 0.0, "white": 1.0}


def naive_allegiance(model, image, map_, canvas):
    """The official procedure for one image."""
    saliency = naive_minmax(map_)
    descending = sorted(saliency, reverse=True)
    agreement = []
    with torch.no_grad():
        before = model(image[None]).argmax().item()
        for fraction in FRACTIONS:
            threshold = descending[round(fraction * len(saliency))]
            mask = torch.tensor([value > threshold and value != 0 for value in saliency]).reshape(map_.shape)
            deleted = torch.where(mask, LEVELS[canvas], image)
            agreement.append(float(model(deleted[None]).argmax().item() == before))
    steps = zip(FRACTIONS[:-1], FRACTIONS[1:], agreement[:-1], agreement[1:], strict=True)
    return sum((right - left) * (first + second) / 2 for left, right, first, second in steps)


def deleted_counts(map_):
    """How many pixels each distinct change deletes, as the model sees it."""
    received = []

    def model(images):
        received.extend((images == 0).flatten(1).sum(dim=1).tolist())
        return torch.stack([images.sum(dim=(1, 2, 3)), torch.zeros(len(images)).to(images)], dim=1)

    Allegiance().scores(model, torch.ones(1, 1, *map_.shape), map_[None], FIRST, max_batch_size=1)
    return received


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ([3.0, 1.0, 4.0, 1.5, 9.0, 2.0, 6.0, 5.0, 3.5, 8.0], [0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ([0.0] * 6 + [0.2, 0.2, 0.6, 1.0], [0, 0, 0, 1, 1, 2, 2, 4, 4, 4, 4, 4, 4]),
    ],
)
def test_pixels_are_deleted_as_the_official_code_counts_them(values, counts):
    ranks = [round(fraction * len(values)) for fraction in FRACTIONS]
    distinct = dict(zip(ranks, counts, strict=True))
    assert deleted_counts(torch.tensor(values).reshape(2, 5)) == list(distinct.values())


def test_thresholds_of_a_small_image_are_the_papers():
    ranks = [round(fraction * 1024) for fraction in FRACTIONS]
    assert ranks == [0, 31, 51, 72, 102, 205, 307, 410, 512, 614, 717, 819, 922]


def test_always_the_same_class_scores_the_whole_width():
    images, targets = batch()
    torch.testing.assert_close(
        Allegiance().scores(certain(0.9), images, maps_of(images, ties=False), targets % 2),
        torch.full((5,), 0.9, dtype=torch.float64),
    )


def test_instant_collapse_scores_half_the_first_step():
    def fragile(images):
        complete = (images.flatten(1).amin(dim=1) > 0).to(images)
        return torch.stack([complete, 0.5 * torch.ones_like(complete)], dim=1)

    maps = torch.arange(100.0).reshape(1, 10, 10)
    score = Allegiance().scores(fragile, torch.ones(1, 1, 10, 10), maps, FIRST)
    torch.testing.assert_close(score, torch.tensor([0.015]))


def test_steadily_falling_allegiance_integrates_to_the_papers_number():
    metric = Allegiance()
    fractions = torch.tensor(FRACTIONS, dtype=torch.float64)
    curve = 1 - fractions
    metric.accumulate(torch.trapezoid(curve, fractions)[None], curve[None])
    assert metric.compute().item() == pytest.approx(0.495)
    torch.testing.assert_close(metric.curve()[1], curve)


@pytest.mark.parametrize(("canvas", "sign"), [("black", 1), ("white", -1)])
def test_linear_score_only_falls_when_the_matching_pixels_are_deleted(canvas, sign):
    weight = torch.randn(42, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    images = torch.rand(4, 1, 6, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    received = []

    def linear(images):
        score = images.flatten(1) @ weight
        received.append(score)
        return torch.stack([score, torch.zeros_like(score)], dim=1)

    maps = (sign * weight).clamp(min=0).reshape(1, 6, 7).expand(4, 6, 7)
    Allegiance(canvas=canvas).scores(linear, images, maps, FIRST.expand(4), max_batch_size=4)
    scores = torch.stack(received)
    assert bool((scores.diff(dim=0) <= 1e-12).all())


@pytest.mark.parametrize("canvas", ["black", "white"])
@pytest.mark.parametrize("ties", [False, True])
def test_agrees_with_the_official_procedure(canvas, ties):
    images, targets = batch(side=9)
    model, maps = curved(), maps_of(images, ties=ties)
    scores = Allegiance(canvas=canvas).scores(model, images, maps, targets, max_batch_size=2)
    naive = [naive_allegiance(model, image, map_, canvas) for image, map_ in zip(images, maps, strict=True)]
    torch.testing.assert_close(scores, torch.tensor(naive).double(), atol=1e-6, rtol=0)
    assert len(set(naive)) > 1


def test_curve_begins_at_one():
    images, targets = batch()
    metric = Allegiance()
    metric.update(curved(), images, maps_of(images, ties=False), targets)
    assert metric.curve()[1][0] == 1


def test_constant_map_deletes_nothing():
    images, targets = batch()
    torch.testing.assert_close(
        Allegiance().scores(curved(), images, torch.ones(5, 6, 7), targets), torch.full((5,), 0.9, dtype=torch.float64)
    )
