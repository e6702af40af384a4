"""A subclass says how network, batch and targets are looked for, where arguments are not enough."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import Gradient
from tests.callbacks.training import MEAN, STD, Classifier, fit

OPTIONS: dict[str, Any] = {"num_images": 6, "mean": MEAN, "std": STD, "metrics": ["rcap"]}


class Headless(Classifier):
    """Has its classifier in two parts and a forward that is of no use."""

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images).flatten()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", nn.functional.cross_entropy(self.network(batch[0]), batch[1]))


class OfTheNetwork(SaliencyMonitor):
    def find_network(self, pl_module: Any) -> nn.Module:
        return pl_module.network


class FlippedImages(SaliencyMonitor):
    def read_batch(self, batch: Any) -> tuple[Any, ...]:
        images, *rest = super().read_batch(batch)
        return images.flip(3), *rest


class SecondLikeliest(SaliencyMonitor):
    def choose_targets(self, logits: Tensor, labels: Tensor | None) -> Tensor:
        return logits.topk(2).indices[:, 1]


def flipped(batch: Any) -> tuple[Tensor, Tensor]:
    return batch[0].flip(3), batch[1]


def second_likeliest(logits: Tensor, labels: Tensor | None) -> Tensor:
    return logits.topk(2).indices[:, 1]


@pytest.mark.parametrize(
    ("kind", "argument", "module"),
    [
        (OfTheNetwork, {"model": "network"}, Headless),
        (FlippedImages, {"batch": flipped}, Classifier),
        (SecondLikeliest, {"target": second_likeliest}, Classifier),
    ],
)
def test_a_method_of_a_subclass_does_what_the_argument_does(kind, argument, module):
    overriding = kind([Gradient()], **OPTIONS)
    fit([overriding], module)
    told = SaliencyMonitor([Gradient()], **argument, **OPTIONS, cues=())
    fit([told], module)
    plain = SaliencyMonitor([Gradient()], **{**OPTIONS, "model": "network"}, cues=())
    fit([plain], module)
    name = "saliency/gradient/rcap"
    assert [record.value(name) for record in overriding.history] == [record.value(name) for record in told.history]
    if module is Classifier:
        assert overriding.history[-1].value(name) != plain.history[-1].value(name)


def test_the_methods_return_what_a_plain_monitor_uses():
    monitor = SaliencyMonitor()
    module, images, labels = Classifier(), torch.rand(2, 1, 8, 8), torch.tensor([0, 2])
    assert monitor.find_network(module) is module
    assert [part if part is None else part.tolist() for part in monitor.read_batch((images, labels))] == [
        images.tolist(),
        [0, 2],
        None,
    ]
    assert monitor.choose_targets(torch.zeros(2, 3), labels).tolist() == [0, 2]
