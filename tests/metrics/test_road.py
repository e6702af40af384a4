"""ROAD against its procedure, one image at a time."""

import pytest
import torch

from lightning_saliency._random import keyed_generator
from lightning_saliency.metrics import ROAD, road
from tests.metrics.samples import FIRST, batch, certain, curved, maps_of, naive_order, naive_probability
from tests.passes.test_imputation import naive_impute


def naive_road(model, image, map_, target, fractions, noise_level):
    order = naive_order(map_.flatten().tolist())
    draw = torch.randn(image.shape, generator=keyed_generator("road", 0)).double()
    noise = noise_level * (image.max() - image.min()) * draw
    differences = []
    for fraction in fractions:
        count = round(fraction * len(order))
        confidence = {}
        for which, removed in (("most", order[:count]), ("least", order[len(order) - count :])):
            mask = torch.zeros(len(order), dtype=torch.bool)
            mask[removed] = True
            mask = mask.reshape(map_.shape)
            changed = naive_impute(image, mask) + mask * noise
            confidence[which] = naive_probability(model, changed, target)
        differences.append(confidence["least"] - confidence["most"])
    return sum(differences) / len(differences)


@pytest.mark.parametrize("ties", [False, True])
def test_agrees_with_the_procedure(ties):
    images, targets = batch()
    model, maps = curved(), maps_of(images, ties=ties)
    fractions = (0.2, 0.5, 0.8)
    scores = road(model, images, maps, targets, fractions=fractions, noise_level=0.05, max_batch_size=4)
    naive = [
        naive_road(model, image, map_, target, fractions, 0.05)
        for image, map_, target in zip(images, maps, targets.tolist(), strict=True)
    ]
    torch.testing.assert_close(scores, torch.tensor(naive).double(), atol=1e-5, rtol=0)


def test_opposite_map_scores_the_opposite():
    images, targets = batch()
    maps = maps_of(images, ties=False)
    torch.testing.assert_close(
        road(curved(), images, maps, targets), -road(curved(), images, -maps, targets), atol=1e-6, rtol=0
    )


def test_model_that_sees_nothing_scores_zero():
    images = torch.rand(2, 1, 4, 4)
    assert road(certain(0.8), images, images[:, 0], FIRST.expand(2)).tolist() == [0, 0]


def test_curve_holds_the_difference_at_every_fraction():
    images, targets = batch()
    metric = ROAD((0.3, 0.6))
    metric.update(curved(), images, maps_of(images, ties=False), targets)
    fractions, differences = metric.curve()
    assert fractions.tolist() == [0.3, 0.6]
    torch.testing.assert_close(differences.mean(), metric.compute())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fractions": ()}, "Expected `fractions` to hold at least one fraction"),
        ({"fractions": (20,)}, r"did you mean 0.2\?"),
        ({"noise_level": -1.0}, "Expected `noise_level` to lie in"),
        ({"activation": "relu"}, "Expected `activation` to be one of"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ROAD(**arguments)
