"""SRG is the area between the two orders of removal, whose predictions other metrics share."""

import pytest
import torch

from lightning_saliency import score
from lightning_saliency.metrics import SRG, Deletion, Insertion
from tests.metrics.samples import batch, curved

CANVASES = ["black", "white", "mean", "blur"]


def saliency(seed=3):
    return torch.rand(5, 6, 7, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("canvas", CANVASES)
@pytest.mark.parametrize("steps", [1, 3, 6])
def test_it_is_insertion_less_deletion_on_one_canvas(canvas, steps):
    images, targets = batch()
    metrics = [SRG(steps, canvas=canvas), Insertion(steps, canvas=canvas), Deletion(steps, canvas=canvas)]
    gain, inserted, deleted = score(curved(), images, {"any": saliency()}, targets, metrics)["any"].values()
    torch.testing.assert_close(gain, inserted - deleted)


def test_the_reversed_order_loses_what_the_order_gains():
    images, targets = batch()
    gain, loss = (SRG(6).scores(curved(), images, sign * saliency(), targets) for sign in (1, -1))
    torch.testing.assert_close(gain, -loss)


def test_its_curve_begins_and_ends_at_zero():
    images, targets = batch()
    metric = SRG(4)
    metric.update(curved(), images, saliency(), targets)
    places, curve = metric.curve()
    assert places.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve[[0, -1]].tolist() == [0, 0]
    assert curve[1:-1].abs().min() > 0


def test_random_orders_gain_nothing_on_average():
    images, targets = batch()
    gains = torch.stack([SRG(3).scores(curved(), images, saliency(seed), targets) for seed in range(60)])
    error = gains.std(dim=0) / len(gains) ** 0.5
    assert ((gains.mean(dim=0) / error).abs() < 4).all()


def test_predictions_are_shared_with_insertion_and_deletion_on_the_same_canvas():
    images, targets = batch()
    network, passed = curved(), []

    def model(inputs):
        passed.append(len(inputs))
        return network(inputs)

    def passes_of(*metrics):
        passed.clear()
        score(model, images, {"any": saliency()}, targets, list(metrics))
        return sum(passed)

    one = passes_of(SRG(6))
    assert one == len(images) * (2 * 5 + 2)
    assert passes_of(SRG(6), Deletion(6), Insertion(6, canvas="mean")) == one


@pytest.mark.parametrize("steps", [0, -1])
def test_too_few_steps_are_refused(steps):
    with pytest.raises(ValueError, match=f"`steps`.* got {steps}"):
        SRG(steps)
