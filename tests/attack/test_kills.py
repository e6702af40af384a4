"""A training killed at any moment goes on from its last checkpoint to the very same end."""

import random
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.methods import GradCAM, SmoothGrad
from lightning_saliency.metrics import RCAP
from tests.attack.seeds import SEED
from tests.callbacks.processes import FRESH
from tests.callbacks.training import MEAN, STD, Classifier, Data, Network, Patterns, assert_identical, trainer

EPOCHS = 6
LONGEST = 1.5


class Ordered(Data):
    """The same batches in every epoch, since Lightning restores no random state when it resumes."""

    def train_dataloader(self) -> Any:
        return DataLoader(Patterns(48), self.batch_size)

    def val_dataloader(self) -> Any:
        return DataLoader(Patterns(18), self.batch_size)


def classifier() -> Classifier:
    network = Network()
    network[5] = nn.Identity()
    return Classifier(network)


def train(folder: Path, delay: float | None = None, *, watched: bool = True) -> None:
    """Train, or go on with a training, and be killed after a delay."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if delay is not None:
        # The alarm's default action ends the process, wherever it is.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, delay)
    monitor = SaliencyMonitor(
        [SmoothGrad(2), GradCAM()], [RCAP(mean=MEAN, std=STD)], num_images=6, num_panels=1, cues=("wide_frame",)
    )
    gate = GatedCheckpoint(folder / "gate", gates={"saliency/grad_cam/rcap": "worsens <= 50%"})
    last = ModelCheckpoint(folder / "last", save_last=True)
    seed_everything(1, verbose=False)
    run = trainer(
        [monitor, last, gate] if watched else [last],
        max_epochs=EPOCHS,
        num_sanity_val_steps=0,
        logger=CSVLogger(folder, name="", version="log"),
    )
    module = classifier()
    checkpoint = folder / "last" / "last.ckpt"
    # Killed after its last checkpoint, so that nothing is left to do, and nothing is computed again.
    is_over = checkpoint.exists() and torch.load(checkpoint, weights_only=True)["epoch"] == EPOCHS - 1
    run.fit(module, Ordered(), ckpt_path=checkpoint if checkpoint.exists() else None)
    values = {name: value for name, value in run.callback_metrics.items() if "seconds" not in name}
    values = {name: value for name, value in values.items() if "fraction" not in name}
    result = {"weights": module.state_dict(), "optimizer": run.optimizers[0].state_dict()["state"], "values": values}
    if is_over:
        del result["values"]
    torch.save(result, folder / "result.pt")


def in_a_process(*arguments: Any) -> int | None:
    process = FRESH.Process(target=train, args=arguments)
    process.start()
    process.join()
    return process.exitcode


@pytest.mark.parametrize("kills", [3, pytest.param(150, marks=pytest.mark.long)])
def test_a_training_killed_at_random_moments_ends_as_if_it_had_not_been(
    tmp_path: Path, kills: int, tried: Callable[[str, int], None]
) -> None:
    (tmp_path / "whole").mkdir()
    assert in_a_process(tmp_path / "whole") == 0
    expected = torch.load(tmp_path / "whole" / "result.pt", weights_only=True)
    chance, count, number, compared = random.Random(SEED), 0, 0, 0
    while count < kills:
        folder = tmp_path / str(number)
        folder.mkdir()
        number += 1
        while in_a_process(folder, chance.uniform(0.1, LONGEST)) != 0:
            count += 1
        result = torch.load(folder / "result.pt", weights_only=True)
        assert_identical(result, {name: expected[name] for name in result}, folder.name)
        compared += "values" in result
        assert not list(folder.rglob("*.draft"))
    assert compared > number // 2
    tried("kills of a training", count)
    tried("trainings compared after kills", number)


def test_weights_are_those_of_a_training_without_a_monitor(tmp_path: Path) -> None:
    for name, watched in (("watched", True), ("alone", False)):
        (tmp_path / name).mkdir()
        train(tmp_path / name, watched=watched)
    watched, alone = (torch.load(tmp_path / name / "result.pt", weights_only=True) for name in ("watched", "alone"))
    assert_identical([watched["weights"], watched["optimizer"]], [alone["weights"], alone["optimizer"]])
