"""Where every pass is a collective, a fault of one process ends training at once, and one of all is skipped."""

import os
import time
from functools import partial
from typing import Any

import pytest
import torch
from torch.multiprocessing.spawn import ProcessRaisedException

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import Gradient
from lightning_saliency.metrics import RCAP
from tests.callbacks.processes import spawn
from tests.callbacks.training import MEAN, STD, fit
from tests.integrations.test_sharded import Sharded, data, strategy

PATIENCE = 90


class Unlucky:
    """Fails between two passes of its second evaluation, on some processes."""

    def __init__(self, ranks: tuple[int, ...]) -> None:
        self.ranks, self.calls = ranks, 0
        self.gradient = Gradient()

    def __call__(self, model: Any, images: Any, targets: Any) -> Any:
        maps = self.gradient(model, images, targets)
        self.calls += 1
        if self.calls == 3 and int(os.environ["LOCAL_RANK"]) in self.ranks:
            raise RuntimeError("out of luck")
        return self.gradient(model, images, targets) + maps


def train(ranks: tuple[int, ...]) -> list[int]:
    torch.manual_seed(3)
    watcher = SaliencyMonitor(
        {"unlucky": Unlucky(ranks)}, [RCAP(mean=MEAN, std=STD)], num_images=8, max_batch_size=2, num_panels=0, cues=()
    )
    fit([watcher], Sharded, data(), strategy=strategy(), devices=2, max_epochs=3, num_sanity_val_steps=0)
    return [record.epoch for record in watcher.history]


def test_a_fault_of_one_process_ends_training_instead_of_letting_the_other_wait(tmp_path):
    started = time.monotonic()
    with pytest.raises(ProcessRaisedException, match=r"process 1 alone.*out of luck"):
        spawn(partial(train, (1,)), tmp_path)
    assert time.monotonic() - started < PATIENCE


def test_a_fault_of_all_processes_is_skipped(tmp_path):
    for epochs in spawn(partial(train, (0, 1)), tmp_path):
        assert epochs == [0, 2]
