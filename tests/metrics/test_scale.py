"""Effects of scaling: maps times 100, shifted or min-maxed, and logits times 10."""

import pytest
import torch

from lightning_saliency import normalize
from lightning_saliency.methods import Gradient
from lightning_saliency.metrics import (
    RCAP,
    ROAD,
    SRG,
    Allegiance,
    AverageDrop,
    AverageGain,
    Complexity,
    Deletion,
    EffectiveComplexity,
    Infidelity,
    Insertion,
    LogCoshDice,
    MapMAE,
    MaskIoU,
    MaxSensitivity,
    PointingGame,
    RelevanceMass,
    RelevanceRank,
    Sparseness,
)
from tests.metrics.samples import batch, curved, summing

CHANGES = {"times 100": lambda maps: 100 * maps, "shifted": lambda maps: maps + 0.5, "min-maxed": normalize}
METRICS = {
    metric.name: metric
    for metric in (
        *(RCAP(), Allegiance(), Insertion(), Deletion(), ROAD(), SRG(), AverageDrop(), AverageGain()),
        *(Infidelity(), Infidelity(normalize=False, name="infidelity_of_yeh"), MaxSensitivity()),
        *(Sparseness(), Complexity(), EffectiveComplexity(0.3)),
        *(PointingGame(), RelevanceMass(), RelevanceRank(), MaskIoU(), LogCoshDice(), MapMAE()),
    )
}
SHIFT_MATTERS = {"infidelity", "infidelity_of_yeh", "max_sensitivity", "relevance_mass"} | {
    "sparseness",
    "complexity",
    "effective_complexity",
}
# Confidence alone moves what reads probabilities; changes of the logit are in its own units only in Yeh's form.
CONFIDENCE_MATTERS = {
    "rcap",
    "insertion",
    "deletion",
    "road",
    "srg",
    "average_drop",
    "average_gain",
    "infidelity_of_yeh",
}


def scored(metric, change=lambda maps: maps, factor=1.0):
    images, targets = batch()
    masks = torch.rand(5, 6, 7, generator=torch.Generator().manual_seed(9)) < 0.4
    network = curved()

    def model(images):
        return factor * network(images)

    def method(model, images, targets):
        return change(Gradient(reduce="sum_abs")(model, images, targets).double())

    clone = METRICS[metric].clone()
    clone.update(model, images, method(model, images, targets), targets, masks=masks, method=method)
    return clone.compute().item()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("metric", METRICS)
def test_scale_of_the_map_matters_only_where_the_docstring_says_so(metric, change):
    same = scored(metric, CHANGES[change]) == pytest.approx(scored(metric), abs=1e-5)
    assert same == (change == "times 100" or metric not in SHIFT_MATTERS)


@pytest.mark.parametrize("metric", METRICS)
def test_confidence_alone_matters_only_where_the_docstring_says_so(metric):
    same = scored(metric, factor=10.0) == pytest.approx(scored(metric), abs=1e-5)
    assert same == (metric not in CONFIDENCE_MATTERS)


def test_rcap_rises_with_confidence_alone():
    images, maps = torch.rand(3, 1, 4, 4), torch.rand(3, 4, 4)
    calm, sure = (
        RCAP().scores(lambda i, f=f: f * summing(i), images, maps, torch.ones(3, dtype=torch.int64)) for f in (0.2, 2)
    )
    assert bool((sure > calm + 0.05).all())
