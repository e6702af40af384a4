"""Runs whose folders are remote: everything goes where checkpoints and metrics go. fsspec's memory stands in for S3."""

import csv
import json
import os

import fsspec
import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.methods import Gradient
from tests.callbacks.training import MEAN, STD, Classifier, Data, fit, trainer

SCORE = "saliency/gradient/rcap"


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """An empty remote folder; nothing may appear in the local one."""
    monkeypatch.chdir(tmp_path)
    files = fsspec.filesystem("memory")
    yield files
    for path in files.ls("/", detail=False):
        files.rm(path, recursive=True)
    assert os.listdir(tmp_path) == []


def monitor(**options):
    return SaliencyMonitor([Gradient()], num_images=6, num_panels=1, mean=MEAN, std=STD, **options, cues=())


def rows_of(files, path):
    with files.open(path, "r", newline="") as file:
        return list(csv.DictReader(file))


def steps_of(files, path):
    return [int(row["step"]) for row in rows_of(files, path) if row["name"] == SCORE]


def test_tables_pictures_texts_and_decisions_lie_beside_metrics_and_checkpoints(remote):
    logger = CSVLogger("memory://runs", name="", version="one")
    gate = GatedCheckpoint("memory://runs/kept", "{epoch}", gates={SCORE: ">= -2"}, save_top_k=-1)
    fit([monitor(), gate], logger=logger)
    assert remote.exists("/runs/one/metrics.csv")
    assert steps_of(remote, "/runs/one/evaluations.csv") == [6, 12]
    assert {row["method"] for row in rows_of(remote, "/runs/one/saliency.csv")} == {"gradient", "random", "edges"}
    assert len(remote.glob("/runs/one/pictures/saliency/curves/rcap/*.png")) == 2
    assert len(remote.glob("/runs/one/texts/saliency/card/*.md")) == 1
    assert remote.exists("/runs/kept/0.ckpt")
    decisions = json.loads(remote.cat("/runs/kept/gate_decisions.json"))
    assert [decision["passed"] for decision in decisions] == [True, True]


def parts():
    return [monitor(), GatedCheckpoint("memory://kept", "{epoch}", gates={SCORE: ">= -2"}, save_top_k=-1)]


@pytest.mark.filterwarnings("ignore:Experiment logs directory")
def test_a_resumed_run_replaces_its_rows(remote):
    fit(parts(), logger=CSVLogger("memory://runs", name="", version="one"))
    again = trainer(parts(), logger=CSVLogger("memory://runs", name="", version="one"), max_epochs=3)
    again.fit(Classifier(), Data(), ckpt_path="memory://kept/0.ckpt")
    assert steps_of(remote, "/runs/one/evaluations.csv") == [6, 12, 18]


def test_tensorboard_has_the_charts_and_the_table_is_beside_its_events(remote):
    fit([monitor()], logger=TensorBoardLogger("memory://board", name="", version="one"), log_every_n_steps=1)
    assert remote.glob("/board/one/events.out.tfevents.*")
    assert steps_of(remote, "/board/one/evaluations.csv") == [6, 12]


def test_without_a_logger_results_lie_in_the_remote_root(remote):
    fit([monitor()], default_root_dir="memory://root")
    assert steps_of(remote, "/root/evaluations.csv") == [6, 12]
    assert remote.glob("/root/pictures/saliency/curves/rcap/*.png")
