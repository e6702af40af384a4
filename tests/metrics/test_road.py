"""ROAD against its procedure, one image at a time."""

import pytest
import torch

from lightning_saliency.metrics import ROAD
from tests.metrics.samples import FIRST, batch, certain, curved, maps_of, naive_order, naive_probability
from tests.passes.test_imputation import naive_impute


def naive_road(model, image, map_, target, fractions):
    order = naive_order(map_.flatten().tolist())
    differences = []
    for fraction in fractions:
        count = round(fraction * len(order))
        confidence = {}
        for which, removed in (("most", order[:count]), ("least", order[len(order) - count :])):
            mask = torch.zeros(len(order), dtype=torch.bool)
            mask[removed] = True
            mask = mask.reshape(map_.shape)
            confidence[which] = naive_probability(model, naive_impute(image, mask), target)
        differences.append(confidence["least"] - confidence["most"])
    return sum(differences) / len(differences)


@pytest.mark.parametrize("ties", [False, True])
def test_agrees_with_the_procedure(ties):
    images, targets = batch()
    model, maps = curved(), maps_of(images, ties=ties)
    fractions = (0.2, 0.5, 0.8)
    scores = ROAD(fractions, noise_level=0.0).scores(model, images, maps, targets, max_batch_size=4)
    naive = [
        naive_road(model, image, map_, target, fractions)
        for image, map_, target in zip(images, maps, targets.tolist(), strict=True)
    ]
    torch.testing.assert_close(scores, torch.tensor(naive).double(), atol=1e-5, rtol=0)


def test_noise_on_removed_pixels_has_its_level_in_units_of_each_images_range():
    images = torch.rand(2, 3, 40, 40) * torch.tensor([1.0, 0.2]).reshape(2, 1, 1, 1)
    predicted = []

    def watching(images):
        predicted.append(images)
        return torch.zeros(len(images), 2)

    ramp = torch.arange(1600.0).reshape(1, 40, 40).expand(2, 40, 40)
    for level in (0.0, 0.1):
        ROAD((0.5,), noise_level=level).scores(watching, images, ramp, FIRST.expand(2))
    clean, _, noisy, _ = predicted  # without the most salient half, and without the least salient one
    noise = noisy - clean
    assert not noise[:, :, :20].any()
    extent = images.flatten(1).amax(dim=1) - images.flatten(1).amin(dim=1)
    torch.testing.assert_close(noise[0] / extent[0], noise[1] / extent[1], atol=1e-5, rtol=0)
    assert (noise[0] / extent[0])[:, 20:].std().item() == pytest.approx(0.1, rel=0.05)


def test_opposite_map_scores_the_opposite():
    images, targets = batch()
    maps = maps_of(images, ties=False)
    torch.testing.assert_close(
        ROAD().scores(curved(), images, maps, targets),
        -ROAD().scores(curved(), images, -maps, targets),
        atol=1e-6,
        rtol=0,
    )


def test_model_that_sees_nothing_scores_zero():
    images = torch.rand(2, 1, 4, 4)
    assert ROAD().scores(certain(0.8), images, images[:, 0], FIRST.expand(2)).tolist() == [0, 0]


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
