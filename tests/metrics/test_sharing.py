"""Predictions are made once, whatever the number of maps and metrics, in batches that are bounded."""

import pytest
import torch

from lightning_saliency import score
from lightning_saliency.metrics import (
    RCAP,
    ROAD,
    Allegiance,
    AverageDrop,
    Complexity,
    Deletion,
    EffectiveComplexity,
    Infidelity,
    Insertion,
    Sparseness,
)
from tests.metrics.samples import batch, curved, maps_of


def counted(metrics, num_maps, max_batch_size=64):
    """Images that the model saw in each of its passes while it was scored."""
    images, targets = batch(side=7)
    maps = {f"map {index}": maps_of(images, ties=False).roll(index, dims=2) for index in range(num_maps)}
    model, passed = curved(), []
    model.register_forward_hook(lambda module, inputs, output: passed.append(len(inputs[0])))
    score(model, images, maps, targets, metrics, max_batch_size=max_batch_size)
    return passed


def test_five_maps_and_five_metrics_repeat_nothing():
    passed = counted([RCAP(), Allegiance(), Infidelity(), Insertion(), Deletion()], 5)
    alone_here = 5 + 12 + 19 + 19  # stages, deletions, and insertions and deletions between their ends
    alike = 1 + 40 + 2  # the intact image, squares, and the bare canvas of insertion and of deletion
    assert sum(passed) == 5 * (5 * alone_here + alike)


def test_a_second_metric_of_the_same_changes_costs_nothing():
    once = counted([RCAP(), Insertion()], 2)
    assert counted({"a": RCAP(), "b": RCAP(0.7), "c": Insertion(), "d": Insertion(10), "e": Insertion(5)}, 2) == once


def test_thresholds_and_counts_share_what_they_both_cut_clearly():
    alike = 2  # the intact image and the bare canvas
    deleted = counted([Allegiance(), Deletion(10, canvas="black")], 2)
    assert sum(deleted) == 5 * (2 * 12 + alike), "the nine tenths are among the twelve fractions"
    inserted = counted([RCAP(), Insertion(10, canvas="black")], 2)
    assert sum(inserted) == 5 * (2 * (9 + 2) + alike), "two of the five stages are rounded otherwise"


@pytest.mark.parametrize("ties", [False, True])
def test_sharing_between_definitions_changes_no_score(ties):
    images, targets = batch()
    maps = {"a": maps_of(images, ties=ties)}
    metrics = [Allegiance(), RCAP(), Deletion(10, canvas="black"), Insertion(10, canvas="black")]
    together = score(curved(), images, maps, targets, metrics)["a"]
    for metric in metrics:
        alone = score(curved(), images, maps, targets, [metric])["a"][metric.name]
        torch.testing.assert_close(together[metric.name], alone, atol=1e-9, rtol=0)


@pytest.mark.parametrize("max_batch_size", [1, 2, 3, 64])
def test_no_pass_is_larger_than_allowed(max_batch_size):
    passed = counted([RCAP(), Infidelity(), ROAD(), AverageDrop(canvas="blur")], 2, max_batch_size)
    assert max(passed) <= max_batch_size


def test_small_batches_share_passes():
    assert len(counted([Infidelity()], 1)) == 4


def test_metrics_that_predict_nothing_cost_no_pass():
    assert not counted([Complexity(), Sparseness(), EffectiveComplexity()], 2)


def test_the_intact_image_is_predicted_only_for_who_asks():
    assert sum(counted([RCAP()], 1)) == 5 * 5
    assert sum(counted([Allegiance()], 1)) == 5 * 13


@pytest.mark.parametrize("max_batch_size", [1, 2, 64])
def test_scores_do_not_depend_on_the_batch(max_batch_size):
    images, targets = batch()
    maps = {"a": maps_of(images, ties=True)}
    metrics = {
        f"{metric.__name__} {canvas}": metric(canvas=canvas)
        for metric in (RCAP, Allegiance, Insertion, Deletion, Infidelity, AverageDrop)
        for canvas in ("black", "white", "mean", "blur")
    } | {"road": ROAD()}
    complete = score(curved(), images, maps, targets, metrics)["a"]
    parts = score(curved(), images, maps, targets, metrics, max_batch_size=max_batch_size)["a"]
    for name, scores in complete.items():
        torch.testing.assert_close(parts[name], scores, atol=1e-9, rtol=0)
