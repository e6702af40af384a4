"""A process killed in the middle of an evaluation leaves nothing that stops the run from going on."""

import csv
import json
import os
import signal
import warnings
from itertools import islice
from pathlib import Path

import pytest
import torch
from lightning.pytorch import seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from PIL import Image

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.callbacks import _publish
from lightning_saliency.methods import Gradient
from tests.callbacks.processes import FRESH
from tests.callbacks.training import MEAN, STD, Classifier, Data, trainer

EPOCHS = 4
PNG = b"\x89PNG"


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


class Third:
    """Kills in the evaluation of the third epoch, at one of three points."""

    def __init__(self, point):
        self.calls = 0
        self.limit = 3 if point == "explaining" else None
        if point == "writing the table":
            rows = _publish.rows

            def deadly_rows(evaluation, epoch, step):
                table = rows(evaluation, epoch, step)
                yield from table if epoch < 2 else islice(table, 5)
                if epoch == 2:
                    killed()

            _publish.rows = deadly_rows
        if point == "writing a picture":
            write_bytes = Path.write_bytes

            def deadly_bytes(path, data):
                if self.calls == 3 and data.startswith(PNG):
                    write_bytes(path, PNG)
                    killed()
                return write_bytes(path, data)

            Path.write_bytes = deadly_bytes

    def __call__(self, model, images, targets):
        self.calls += 1
        if self.calls == self.limit:
            killed()
        return images.mean(dim=1)


def run(folder, point=None, ckpt_path=None):
    watcher = SaliencyMonitor(
        {"gradient": Gradient(), "mean": Third(point)}, num_images=6, num_panels=1, mean=MEAN, std=STD, cues=()
    )
    gate = GatedCheckpoint(folder / "gate", gates={"saliency/gradient/rcap": ">= 0"})
    last = ModelCheckpoint(folder / "last", save_last=True)
    logger = CSVLogger(folder, name="", version="log")
    seed_everything(1, verbose=False)
    fitter = trainer([watcher, last, gate], max_epochs=EPOCHS, num_sanity_val_steps=0, logger=logger)
    fitter.fit(Classifier(), Data(), ckpt_path=ckpt_path)
    return fitter


def run_quietly(folder, point):
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    run(folder, point)


@pytest.mark.filterwarnings("ignore:.*Experiment logs directory")
@pytest.mark.parametrize("point", ["explaining", "writing the table", "writing a picture"])
def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path, point):
    process = FRESH.Process(target=run_quietly, args=(tmp_path, point))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    table = tmp_path / "log" / "saliency.csv"
    assert [epoch for epoch, _ in complete_rows(table)] == ["0", "1"]

    fitter = run(tmp_path, ckpt_path=tmp_path / "last" / "last.ckpt")
    assert fitter.current_epoch == EPOCHS
    assert "saliency/gradient/drift_spearman_first" in fitter.callback_metrics
    counts = complete_rows(table)
    assert [epoch for epoch, _ in counts] == ["0", "1", "2", "3"]
    assert len({count for _, count in counts[1:]}) == 1
    for picture in (tmp_path / "log" / "pictures").rglob("*.png"):
        Image.open(picture).load()
    assert not list(tmp_path.rglob("*.draft"))
    decisions = json.loads((tmp_path / "gate" / "gate_decisions.json").read_text())
    assert [decision["epoch"] for decision in decisions] == [0, 1, 2, 3]
    torch.load(tmp_path / "last" / "last.ckpt", weights_only=True)


def complete_rows(table):
    """Count the rows of each epoch, all of which have to be whole."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(None not in row.values() and float(row["score"]) is not None for row in rows)
    epochs = [row["epoch"] for row in rows]
    return [(epoch, epochs.count(epoch)) for epoch in sorted(set(epochs))]
