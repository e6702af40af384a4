"""Average drop, increase and gain against their formulas, one image at a time."""

import pytest
import torch

from lightning_saliency.metrics import AverageDrop, AverageGain, AverageIncrease
from tests.metrics.samples import FIRST, batch, certain, curved, maps_of, naive_minmax, naive_probability

FORMULAS = {
    AverageDrop: lambda before, after: max(0, before - after) / before,
    AverageIncrease: lambda before, after: float(after > before),
    AverageGain: lambda before, after: max(0, after - before) / (1 - before),
}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("metric", FORMULAS)
def test_agrees_with_the_formula(metric, ties):
    images, targets = batch()
    model, maps = curved(), maps_of(images, ties=ties)
    naive = []
    for image, map_, target in zip(images, maps, targets.tolist(), strict=True):
        laid_over = image * torch.tensor(naive_minmax(map_)).reshape(map_.shape)
        before, after = (naive_probability(model, received, target) for received in (image, laid_over))
        naive.append(FORMULAS[metric](before, after))
    scores = metric().scores(model, images, maps, targets, max_batch_size=3)
    torch.testing.assert_close(scores, torch.tensor(naive).double(), atol=1e-6, rtol=0)
    assert len(set(naive)) > 1


@pytest.mark.parametrize("metric", FORMULAS)
def test_model_that_sees_nothing_neither_drops_nor_gains(metric):
    images = torch.rand(2, 1, 4, 4)
    assert metric().scores(certain(0.7), images, images[:, 0], FIRST.expand(2)).tolist() == [0, 0]


def test_probabilities_of_zero_and_one_give_zero():
    images = torch.rand(1, 1, 4, 4)

    def sure(images):
        return torch.tensor([[200.0, 0.0]]).expand(len(images), 2)

    assert AverageGain().scores(sure, images, images[:, 0], FIRST).item() == 0
    assert AverageDrop().scores(sure, images, images[:, 0], FIRST + 1).item() == 0


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
    scores = AverageDrop(mean=(0.5, 0.4), std=(0.2, 0.3)).scores(
        lambda i: curved()(i * std + mean), (images - mean) / std, maps, targets
    )
    torch.testing.assert_close(scores, AverageDrop().scores(curved(), images, maps, targets))
