"""Forwards that keep, count, log or write: explaining leaves no trace in them, or names what cannot be restored."""

import collections
import queue
import random
import warnings
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
import torchmetrics
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from lightning_saliency import SaliencyMonitor, explain
from lightning_saliency.methods import GradCAM, Gradient, SmoothGrad
from lightning_saliency.metrics import RCAP
from tests.callbacks.training import (
    MEAN,
    STD,
    Classifier,
    Data,
    Network,
    Patterns,
    assert_identical,
    fit,
    trace,
    trainer,
)
from tests.models import pictures, small_cnn


class Keeping(nn.Module):
    """Writes into everything that it holds at every forward, and adds it to the images."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.running = torch.zeros(3)
        self.bank = torch.zeros(50, 200)
        self.features: list[int] = []
        self.table: dict[str, Any] = {"nested": [0], "sum": torch.zeros(2)}
        self.recent = collections.deque([0.0], maxlen=3)
        self.generator = torch.Generator().manual_seed(1)
        self.numbers, self.python = np.random.default_rng(1), random.Random(1)

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        self.running += 1
        self.running = self.running + 1
        self.bank += 1
        self.features.append(len(images))
        self.table["nested"].append(self.calls)
        self.table["sum"] += 1
        self.table[str(self.calls)] = self.calls
        self.recent.append(float(self.calls))
        if "written" not in self._buffers:
            self.register_buffer("written", torch.zeros(2))
        self.written += 1
        draw = torch.rand((), generator=self.generator) + self.numbers.random() + self.python.random()
        return images + 0.01 * draw + 0.001 * (self.calls + self.running.sum() + self.bank[0, 0] + self.written.sum())

    def everything(self) -> list[Any]:
        kept = [self.calls, self.running.tolist(), self.bank.sum().item(), list(self.features), list(self.recent)]
        kept += [str(self.table), sorted(self._buffers), getattr(self, "written", torch.zeros(0)).tolist()]
        return [*kept, self.generator.get_state().tolist(), self.python.getstate(), self.numbers.bit_generator.state]


class KeepingClassifier(Classifier):
    def __init__(self) -> None:
        super().__init__(nn.Sequential(Keeping(), *Network()))
        self.forwards = 0
        self.seen_by_hook: list[float] = []
        self.network[4].register_forward_hook(lambda _, __, output: self.seen_by_hook.append(output.sum().item()))
        self.network[4].register_forward_hook(self.count)
        self.counts = {"hook": 0}

    def count(self, *_: Any) -> None:
        self.counts["hook"] += 1

    def forward(self, images: Tensor) -> Tensor:
        self.forwards += 1
        return super().forward(images)


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        items = Patterns(18, augment=True)
        return (items[index] for index in range(18))


class Streamed(Data):
    def val_dataloader(self) -> Any:
        return DataLoader(Stream(), 4)


def monitor(**options: Any) -> SaliencyMonitor:
    arguments = {"num_images": 6, "num_panels": 0, "cues": ("wide_frame",), "on_error": "raise"} | options
    return SaliencyMonitor([SmoothGrad(2), GradCAM()], [RCAP(mean=MEAN, std=STD)], **arguments)


@pytest.mark.parametrize("data", [Data, Streamed])
def test_training_of_a_network_that_keeps_state_is_the_same(data: type) -> None:
    run, module = fit(make=KeepingClassifier, data=data())
    watched, explained = fit([monitor()], KeepingClassifier, data())
    assert_identical(trace(watched, explained), trace(run, module))
    assert_identical(explained.network[0].everything(), module.network[0].everything())
    for name in ("forwards", "seen_by_hook", "counts"):
        assert_identical(getattr(explained, name), getattr(module, name))


def test_explaining_removes_buffers_that_a_first_forward_registers() -> None:
    (images, targets), keeping = pictures(3), Keeping()
    model = nn.Sequential(keeping, small_cnn())
    explain(model, images, targets, [Gradient(), SmoothGrad(3)], max_batch_size=2)
    assert not list(keeping.buffers())
    assert keeping.calls > 0  # the monitor restores attributes, too


class Logging(pl.LightningModule):
    """Logs, and updates a metric, in `forward`."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Network()
        self.losses: list[float] = []
        self.accuracy = torchmetrics.classification.MulticlassAccuracy(3, average="micro")
        self.values = torchmetrics.CatMetric()
        self.confusion = torchmetrics.classification.MulticlassConfusionMatrix(100)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(images)
        predicted = logits.argmax(dim=1)
        self.accuracy.update(predicted, torch.zeros_like(predicted))
        self.values.update(logits.amax(dim=1).detach())
        self.confusion.update(predicted, predicted)
        if self.trainer.validating or self.trainer.sanity_checking or self.trainer.state.stage == "validate":
            self.log("forward", logits.square().mean(), on_epoch=True)
            self.log_dict({"first": logits[0, 0].detach(), "rows": float(len(images))}, batch_size=1)
        return logits

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.losses.append(loss.item())
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self(batch[0])
        self.log("accuracy", self.accuracy)

    def on_validation_epoch_end(self) -> None:
        self.log("sum", self.values.compute().sum())
        self.log("confusion", self.confusion.compute().sum().float())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


@pytest.mark.parametrize("data", [Data, Streamed])
def test_values_and_metrics_that_a_forward_logs_are_the_same(data: type) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*trying to infer the `batch_size`")
        expected, _ = fit(make=Logging, data=data())
        run, module = fit([monitor()], Logging, data())
    logged = {name: value for name, value in run.callback_metrics.items() if not name.startswith("saliency")}
    assert_identical(logged, dict(expected.callback_metrics))
    assert {"forward", "first", "rows", "accuracy", "sum", "confusion"} <= logged.keys()
    assert "log" not in vars(module)


class Writing(nn.Module):
    """Writes one of its parameters at every forward, past autograd or not."""

    def __init__(self, size: int, past_versions: bool) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(size))
        self.past_versions = past_versions

    def forward(self, images: Tensor) -> Tensor:
        if self.past_versions:
            self.scale.data.add_(0.01)
        else:
            with torch.no_grad():
                self.scale.add_(0.01)
        return images * self.scale[0]


@pytest.mark.parametrize("past_versions", [False, True])
def test_a_large_parameter_written_in_a_forward_is_named_once(past_versions: bool) -> None:
    def make() -> Classifier:
        return Classifier(nn.Sequential(Writing(5000, past_versions), *Network()))

    with pytest.warns(UserWarning, match=r"writes its parameters 'network\.0\.scale' in evaluation mode") as record:
        fit([monitor()], make)
    assert sum("writes its parameters" in str(warning.message) for warning in record) == 1


@pytest.mark.parametrize("past_versions", [False, True])
def test_a_small_parameter_written_in_a_forward_is_restored(past_versions: bool) -> None:
    def make() -> Classifier:
        return Classifier(nn.Sequential(Writing(3, past_versions), *Network()))

    expected = trace(*fit(make=make))
    assert_identical(trace(*fit([monitor()], make)), expected)


class Handing(Classifier):
    """Hands the number of every batch to a writer, which other code empties at any time, also during an explanation."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: queue.Queue[int] = queue.Queue()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.waiting.put(batch_idx)
        return super().training_step(batch, batch_idx)


def test_what_a_writer_has_taken_out_of_a_queue_does_not_come_back() -> None:
    taken = []

    def taking(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        while not module.waiting.empty():
            taken.append(module.waiting.get())
        return images.mean(dim=1)

    monitor = SaliencyMonitor({"taking": taking}, ["sparseness"], num_images=4, mean=MEAN, std=STD, cues=())
    module = Handing()
    trainer(callbacks=[monitor], max_epochs=2).fit(module, Data())
    assert taken == [*range(6), *range(6)]
    assert module.waiting.empty()
