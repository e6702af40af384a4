"""Callbacks and schedulers that read a value in every validation have one, though not every validation computes any."""

import csv
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.methods import Gradient
from tests.callbacks.collectives import as_on_nccl
from tests.callbacks.processes import spawn
from tests.callbacks.training import MEAN, STD, Classifier, Data, fit, trainer

SCORE = "saliency/gradient/rcap"
ERROR = f"{SCORE}_stderr"


def monitor(methods: Any = None, **options: Any) -> SaliencyMonitor:
    options = {"num_images": 6, "mean": MEAN, "std": STD, "every_n_epochs": 2, **options}
    return SaliencyMonitor(methods or [Gradient()], ["rcap"], **options, cues=())


class Viewer(Callback):
    """Notes what callbacks see after each validation."""

    def __init__(self, *names: str) -> None:
        self.names = names or (SCORE,)
        self.rows: list[tuple[float | None, ...]] = []

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            values = [trainer.callback_metrics.get(name) for name in self.names]
            self.rows.append(tuple(None if value is None else value.item() for value in values))


class Scheduled(Classifier):
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", patience=50)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": SCORE}}


READERS: dict[str, Any] = {
    "early stopping": (lambda folder: [EarlyStopping(ERROR, patience=50)], Classifier, ERROR),
    "a checkpoint": (lambda folder: [ModelCheckpoint(folder, monitor=SCORE, save_top_k=-1)], Classifier, SCORE),
    "a scheduler": (lambda folder: [], Scheduled, SCORE),
    "a gated checkpoint with a gate on the loss": (
        lambda folder: [GatedCheckpoint(folder, gates={"val_loss": "<= 100"}, monitor=SCORE)],
        Classifier,
        SCORE,
    ),
}


def every(history: Any, name: str) -> dict[int, float]:
    return {record.epoch: pytest.approx(record.value(name), abs=1e-6) for record in history}


@pytest.mark.parametrize(("callbacks", "make", "name"), READERS.values(), ids=READERS)
def test_who_reads_a_value_in_every_validation_has_the_last_one(tmp_path, callbacks, make, name):
    watcher, viewer = monitor(), Viewer(name)
    run, _ = fit([watcher, viewer, *callbacks(tmp_path)], make, max_epochs=5)
    assert run.current_epoch == 5
    values = every(watcher.history, name)
    # The first validation has to have a value.
    assert list(values) == [0, 1, 3]
    assert [value for (value,) in viewer.rows] == [values[epoch] for epoch in (0, 1, 1, 3, 3)]


def test_loggers_get_only_what_was_computed(tmp_path):
    logger = CSVLogger(tmp_path, name="", version="log")
    watcher = monitor()
    fit([watcher, EarlyStopping(SCORE, patience=50)], max_epochs=5, logger=logger, log_every_n_steps=1)
    with (tmp_path / "log" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows if row[SCORE]] == [0, 1, 3]
    assert [int(row["epoch"]) for row in rows if row["val_loss"]] == [0, 1, 2, 3, 4]
    with (tmp_path / "log" / "evaluations.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file) if row["name"] == SCORE] == ["0", "1", "3"]


def test_where_nobody_reads_a_value_the_first_validation_computes_none(tmp_path):
    watcher = monitor()
    gate = GatedCheckpoint(tmp_path, gates={SCORE: ">= 0"}, monitor=SCORE)
    fit([watcher, gate, EarlyStopping("val_loss")], max_epochs=3)
    assert [record.epoch for record in watcher.history] == [1]


def test_a_value_of_another_monitor_asks_nothing_of_this_one():
    watcher, other = monitor(), monitor(name="saliency2")
    fit([watcher, other, EarlyStopping("saliency2/gradient/rcap", patience=50)], max_epochs=3)
    assert [record.epoch for record in watcher.history] == [1]
    assert [record.epoch for record in other.history] == [0, 1]


def saving(folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(folder, "{epoch}", save_top_k=-1, save_on_train_epoch_end=False)


def resumed(folder: Path, callbacks: Any, checkpoint: str, make: Any = Classifier, **options: Any) -> Any:
    run = trainer(callbacks, **options)
    run.fit(make(), Data(), ckpt_path=folder / checkpoint)
    return run


@pytest.mark.parametrize("make", [Classifier, Scheduled])
def test_a_run_resumed_before_a_validation_without_an_evaluation_goes_on(tmp_path, make):
    fit([monitor(), saving(tmp_path), EarlyStopping(ERROR, patience=50)], make, max_epochs=2)
    watcher, viewer = monitor(), Viewer(ERROR)
    callbacks = [watcher, viewer, saving(tmp_path), EarlyStopping(ERROR, patience=50)]
    run = resumed(tmp_path, callbacks, "epoch=1.ckpt", make, max_epochs=4)
    assert run.current_epoch == 4
    values = every(watcher.history, ERROR)
    assert viewer.rows == [(values[1],), (values[3],)]


def test_after_a_fault_callbacks_see_the_last_value(tmp_path):
    class Late:
        broken = False

        def __call__(self, model, images, targets):
            if self.broken:
                raise RuntimeError("out of luck")
            return images.mean(dim=1)

    late = Late()
    options = {"every_n_epochs": 1}
    fit([monitor({"gradient": late}, **options), saving(tmp_path), EarlyStopping(SCORE)], max_epochs=1)
    late.broken = True
    watcher, viewer = monitor({"gradient": late}, **options), Viewer()
    callbacks = [watcher, viewer, saving(tmp_path), EarlyStopping(SCORE, patience=50)]
    with pytest.warns(UserWarning, match="out of luck"):
        run = resumed(tmp_path, callbacks, "epoch=0.ckpt", max_epochs=3)
    assert run.current_epoch == 3
    values = every(watcher.history, SCORE)
    assert viewer.rows == [(values[0],), (values[0],)]


def test_a_kept_value_is_not_fresh_for_a_gate(tmp_path):
    def callbacks():
        gates = {SCORE: ">= 0 by 1 stderr"}
        gate = GatedCheckpoint(tmp_path / "gate", "{epoch}", gates=gates, save_top_k=-1)
        return [monitor(), gate, saving(tmp_path), EarlyStopping(SCORE, patience=50)]

    fit(callbacks(), max_epochs=3)
    again = callbacks()
    resumed(tmp_path, again, "epoch=1.ckpt", max_epochs=5)
    assert [decision.passed for decision in again[1].decisions] == [True, True, False, True, False]
    assert {path.name[0] for path in (tmp_path / "gate").glob("*.ckpt")} == {"0", "1", "3"}


def test_a_training_that_is_continued_keeps_the_last_value():
    watcher, viewer = monitor(), Viewer()
    run, module = fit([watcher, viewer, EarlyStopping(SCORE, patience=50)], max_epochs=2)
    run.fit_loop.max_epochs = 3
    run.fit(module, Data())
    values = every(watcher.history, SCORE)
    assert viewer.rows == [(values[epoch],) for epoch in (0, 1, 1)]


def in_two_processes(folder: Path) -> Any:
    ddp = {"strategy": "ddp", "devices": 2}
    fit([monitor(), saving(folder), EarlyStopping(SCORE, patience=50)], max_epochs=2, **ddp)
    watcher, viewer = monitor(), Viewer(SCORE)
    with as_on_nccl() as ledger:
        callbacks = [watcher, viewer, EarlyStopping(SCORE, patience=50)]
        resumed(folder, callbacks, "epoch=1.ckpt", max_epochs=3, num_sanity_val_steps=0, **ddp)
    hooks = ("on_train_start", "on_validation_epoch_start", "on_validation_epoch_end")
    started = [collective.name for hook in hooks for collective in ledger.of(hook)]
    return [record.state() for record in watcher.history], viewer.rows, started


def test_all_processes_keep_the_same_values_without_a_collective(tmp_path):
    first, second = spawn(partial(in_two_processes, tmp_path), tmp_path)
    assert first == second
    history, rows, started = first
    assert [record["epoch"] for record in history] == [0, 1]
    assert rows == [(pytest.approx(history[-1]["values"][SCORE], abs=1e-6),)]
    assert started == []
