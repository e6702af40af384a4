"""Several processes, one of which is slow, raises, cannot read or dies; and resuming on another number of them."""

import os
import signal
import socket
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import GradCAM
from lightning_saliency.metrics import RCAP
from tests.callbacks.processes import FRESH, spawn
from tests.callbacks.training import MEAN, STD, Classifier, Data, Patterns, assert_identical, trainer

TIMEOUT = 15
# For the start of processes and their training, beside the timeout of their group.
PATIENCE = 60
SLOW = 1.0
SIZES = [4, pytest.param(8, marks=pytest.mark.long)]


def is_the_odd_one() -> bool:
    return torch.distributed.is_initialized() and torch.distributed.get_rank() == 1


class Unreadable(Patterns):
    """Raises on one process, in the monitor's reading and in the user's loop."""

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if is_the_odd_one():
            raise OSError("disk gone")
        return super().__getitem__(index)


class OddData(Data):
    def __init__(self, behaviour: str) -> None:
        super().__init__()
        self.behaviour = behaviour

    def val_dataloader(self) -> Any:
        return DataLoader(Unreadable(24) if self.behaviour == "cannot read" else Patterns(24), 3)


class Method:
    """Behaves in its own way on one process, in its third call."""

    def __init__(self, behaviour: str) -> None:
        self.behaviour, self.calls = behaviour, 0

    def __call__(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        self.calls += 1
        if is_the_odd_one() and self.calls == 3:
            if self.behaviour == "slow":
                time.sleep(SLOW)
            if self.behaviour == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.behaviour == "raises":
                raise RuntimeError("out of luck")
        return images.mean(dim=1)


def train(folder: str, behaviour: str, size: int, max_epochs: int = 2, checkpoint: str | None = None) -> Any:
    """Train, and return what a process ends with."""
    monitor = SaliencyMonitor(
        {"odd": Method(behaviour), "cam": GradCAM()},
        [RCAP(mean=MEAN, std=STD)],
        num_images=16,
        num_panels=0,
        max_batch_size=1,
        cues=(),
    )
    last = ModelCheckpoint(f"{folder}/last", save_last=True)
    seed_everything(1, verbose=False)
    options: dict[str, Any] = {"devices": 1}
    if size > 1:
        strategy = DDPStrategy(timeout=timedelta(seconds=TIMEOUT), process_group_backend="gloo")
        options = {"strategy": strategy, "devices": size}
    run = trainer([monitor, last], max_epochs=max_epochs, num_sanity_val_steps=0, **options)
    module = Classifier()
    run.fit(module, OddData(behaviour), ckpt_path=checkpoint)
    metrics = {name: value.item() for name, value in run.callback_metrics.items() if name.startswith("saliency")}
    values = {name: value for name, value in metrics.items() if "seconds" not in name and "fraction" not in name}
    return {"weights": module.state_dict(), "values": values}


@pytest.mark.parametrize("size", SIZES)
def test_nobody_waits_for_a_slow_process_or_one_that_raises_in_vain(
    tmp_path: Path, size: int, tried: Callable[[str, int], None]
) -> None:
    results = {}
    for behaviour in ("well", "slow", "raises"):
        (tmp_path / behaviour).mkdir()
        folder = str(tmp_path / behaviour)
        results[behaviour] = spawn(partial(train, folder, behaviour, size), tmp_path / behaviour, size)
    for rank in range(size):
        assert_identical(results["slow"][rank], results["well"][rank])
        assert_identical(results["raises"][rank]["weights"], results["well"][rank]["weights"])
    # The process raises in the first evaluation only, so that the second one is the first with results.
    assert results["raises"][0]["values"].keys() < results["well"][0]["values"].keys()
    tried(f"trainings on {size} processes", 3)


def lonely(rank: int, folder: str, behaviour: str, size: int, port: int) -> None:
    """Run one of the processes; nobody ends it when another one ends."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
    os.environ |= {"LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    train(folder, behaviour, size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("behaviour", ["dies", "cannot read"])
def test_processes_that_lose_one_end_within_the_timeout_of_their_group(
    tmp_path: Path, size: int, behaviour: str, tried: Callable[[str, int], None]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = [
        FRESH.Process(target=lonely, args=(rank, str(tmp_path), behaviour, size, port)) for rank in range(size)
    ]
    started = time.monotonic()
    for process in processes:
        process.start()
    for process in processes:
        process.join(max(0.0, TIMEOUT + PATIENCE - (time.monotonic() - started)))
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert None not in codes
    assert 0 not in codes
    tried(f"losses of one of {size} processes", 1)


@pytest.mark.parametrize("size", SIZES)
def test_training_goes_on_on_another_number_of_processes(
    tmp_path: Path, size: int, tried: Callable[[str, int], None]
) -> None:
    spawn(partial(train, str(tmp_path), "well", size), tmp_path, size)
    checkpoint = f"{tmp_path}/last/last.ckpt"
    fewer, *_ = spawn(partial(train, str(tmp_path / "fewer"), "well", 2, 3, checkpoint), tmp_path, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = train(str(tmp_path / "alone"), "well", 1, 3, checkpoint)
    for result in (fewer, alone):
        assert "saliency/cam/drift_spearman_first" in result["values"]
        assert -1 <= result["values"]["saliency/cam/drift_spearman"] <= 1
    tried("trainings that go on on another number of processes", 2)
