"""Average drop, increase and gain against their formulas, one image at a time."""

import pytest
import torch

from lightning_saliency.metrics import (
    AverageDrop,
    AverageGain,
    AverageIncrease,
    average_drop,
    average_gain,
    average_increase,
)
from tests.metrics.samples import FIRST, batch, certain, curved, maps_of, naive_minmax, naive_probability

FORMULAS = {
    average_drop: lambda before, after: max(0, before - after) / before,
    average_increase: lambda before, after: float(after > before),
    average_gain: lambda before, after: max(0, after - before) / (1 - before),
}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("function", FORMULAS)
def test_agrees_with_the_formula(function, ties):
    images, targets = batch()
    model, maps = curved(), maps_of(images, ties=ties)
    naive = []
    for image, map_, target in zip(images, maps, targets.tolist(), strict=True):
        laid_over = image * torch.tensor(naive_minmax(map_)).reshape(map_.shape)
        before, after = (naive_probability(model, seen, target) for seen in (image, laid_over))
        naive.append(FORMULAS[function](before, after))
    scores = function(model, images, maps, targets, max_batch_size=3)
    torch.testing.assert_close(scores, torch.tensor(naive).double(), atol=1e-6, rtol=0)
    assert len(set(naive)) > 1


@pytest.mark.parametrize("function", FORMULAS)
def test_model_that_sees_nothing_neither_drops_nor_gains(function):
    images = torch.rand(2, 1, 4, 4)
    assert function(certain(0.7), images, images[:, 0], FIRST.expand(2)).tolist() == [0, 0]


def test_probabilities_of_zero_and_one_give_zero():
    images = torch.rand(1, 1, 4, 4)

    def sure(images):
        return torch.tensor([[200.0, 0.0]]).expand(len(images), 2)

    assert average_gain(sure, images, images[:, 0], FIRST).item() == 0
    assert average_drop(sure, images, images[:, 0], FIRST + 1).item() == 0


def test_the_three_share_one_prediction():
    images, targets = batch()
    model = curved()
    passed = []
    model.register_forward_hook(lambda module, inputs, output: passed.append(len(inputs[0])))
    from lightning_saliency import score

    score(model, images, {"a": images[:, 0]}, targets, [AverageDrop(), AverageIncrease(), AverageGain()])
    assert sum(passed) == 2 * 5


def test_normalised_images_are_laid_over_raw_black():
    images, targets = batch()
    maps = maps_of(images, ties=False)
    mean, std = images.new_tensor([0.5, 0.4]).reshape(1, 2, 1, 1), images.new_tensor([0.2, 0.3]).reshape(1, 2, 1, 1)
    scores = average_drop(
        lambda i: curved()(i * std + mean), (images - mean) / std, maps, targets, mean=(0.5, 0.4), std=(0.2, 0.3)
    )
    torch.testing.assert_close(scores, average_drop(curved(), images, maps, targets))
