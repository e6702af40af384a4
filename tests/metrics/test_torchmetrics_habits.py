"""Habits of users of torchmetrics: they merge metrics, script modules, draw bootstrap samples."""

import warnings

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.wrappers import BootStrapper

from lightning_saliency.methods import Gradient
from lightning_saliency.metrics import RCAP, MaxSensitivity
from tests.models import pictures, small_cnn


def updated(images: Tensor, maps: Tensor, targets: Tensor) -> RCAP:
    metric = RCAP()
    metric.update(small_cnn(), images, maps, targets)
    return metric


def test_merging_after_compute_gives_the_value_of_all_scores() -> None:
    (images, targets), maps = pictures(6), torch.rand(6, 8, 8)
    first, second = updated(images[:2], maps[:2], targets[:2]), updated(images[2:], maps[2:], targets[2:])
    first.compute()
    first.merge_state(second)
    assert first.compute() == pytest.approx(updated(images, maps, targets).compute().item(), rel=1e-12)
    empty = RCAP()
    empty.merge_state(second.metric_state)
    assert empty.compute() == second.compute()


class Holder(nn.Module):
    """A module with a metric, as Lightning modules have."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.rcap = nn.Sequential(nn.Flatten(), nn.Linear(192, 4)), RCAP()

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)


def test_a_module_that_holds_a_metric_can_be_scripted() -> None:
    model, (images, _) = Holder(), pictures(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(model)
    assert torch.equal(scripted(images), model(images))


def test_bootstrap_samples_are_drawn_of_the_scores() -> None:
    """As the README says: the images are scored once, and not once for each sample."""
    (images, targets), model = pictures(6), small_cnn()
    maps = Gradient()(model, images, targets)
    scores = MaxSensitivity().scores(model, images, maps, targets, method=Gradient())
    samples = BootStrapper(MeanMetric(), num_bootstraps=500, sampling_strategy="multinomial")
    samples.update(scores)
    drawn = samples.compute()
    assert drawn["mean"] == pytest.approx(scores.mean().item(), abs=3 * drawn["std"].item())
    spread = scores.std(correction=0).item() / 6**0.5
    assert drawn["std"] == pytest.approx(spread, rel=0.25)


def test_bootstrap_samples_of_images_need_their_names() -> None:
    (images, targets), maps = pictures(6), torch.rand(6, 8, 8)
    samples = BootStrapper(RCAP(), num_bootstraps=3)
    samples.update(images=images, maps=maps, targets=targets, model=small_cnn())
    assert 0 < samples.compute()["mean"] < 1
