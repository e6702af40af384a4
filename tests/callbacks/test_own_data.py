"""Processes with samplers or patterns data sets of their own."""

import csv
import os
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, SubsetRandomSampler, TensorDataset

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import Gradient
from tests.callbacks.processes import spawn
from tests.callbacks.training import MEAN, STD, Classifier, Patterns, trainer

SIZES = (10, 4)
WEIGHTS = 3


def part_of(rank, size):
    """Images that only one process has."""
    patterns = Patterns(18)
    start = rank * 10
    images = torch.stack([patterns[index][0] for index in range(start, start + size)])
    return TensorDataset(images, patterns.targets[start : start + size])


def validated(loader, folder, num_images=8):
    torch.manual_seed(WEIGHTS)
    watcher = SaliencyMonitor([Gradient()], ["rcap"], num_images=num_images, mean=MEAN, std=STD)
    logger = CSVLogger(folder, name="", version="")
    run = trainer([watcher], strategy="ddp", devices=2, logger=logger, use_distributed_sampler=False)
    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("always")
        run.validate(Classifier(), loader, verbose=False)
    said = [str(message.message) for message in messages if "SaliencyMonitor" in str(message.message)]
    return run.callback_metrics["saliency/gradient/rcap"].item(), said


def scenario(folder):
    rank = int(os.environ["LOCAL_RANK"])
    patterns = Patterns(18)
    parity = SubsetRandomSampler(list(range(rank, 18, 2)))
    return {
        "own": validated(DataLoader(part_of(rank, SIZES[rank]), 4), f"{folder}/own", 12),
        "equal sizes": validated(DataLoader(part_of(rank, 4), 4), f"{folder}/equal", 8),
        "own samplers": validated(DataLoader(patterns, 4, sampler=parity), f"{folder}/samplers", 18),
        "one data set": validated(DataLoader(patterns, 4), f"{folder}/one", 18),
    }


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    return folder, spawn(partial(scenario, str(folder)), folder)


def scores_in(folder):
    with (Path(folder) / "saliency.csv").open() as file:
        return {int(row["index"]): float(row["score"]) for row in csv.DictReader(file) if row["method"] == "gradient"}


def score_of_every_image(tmp_path):
    torch.manual_seed(WEIGHTS)
    watcher = SaliencyMonitor([Gradient()], ["rcap"], num_images=18, mean=MEAN, std=STD)
    run = trainer([watcher], logger=CSVLogger(tmp_path, name="", version=""))
    run.validate(Classifier(), DataLoader(Patterns(18), 4), verbose=False)
    return scores_in(tmp_path)


def test_data_sets_of_their_own_sizes_give_as_many_images_as_asked_for_and_each_its_number(ranks, tmp_path):
    folder, results = ranks
    (value, said), (other, _) = (rank["own"] for rank in results)
    rows = scores_in(folder / "own")
    assert len(rows) == 12
    assert sum(index < 10 for index in rows) == 8
    assert all(index < 14 for index in rows)
    alone = score_of_every_image(tmp_path)
    assert rows == pytest.approx({index: alone[index] for index in rows}, rel=1e-5)
    assert value == other == pytest.approx(sum(rows.values()) / 12, rel=1e-5)
    assert len(said) == 1
    assert "data sets of their own, of 10, 4 images. Watching 8, 4 of them" in said[0]


def test_data_sets_of_equal_sizes_are_told_apart_by_their_images(ranks, tmp_path):
    folder, results = ranks
    assert "data sets of their own, of 4, 4 images" in results[0]["equal sizes"][1][0]
    rows = scores_in(folder / "equal")
    alone = score_of_every_image(tmp_path)
    places = {**dict(enumerate(range(4))), **{4 + place: 10 + place for place in range(4)}}
    assert rows == pytest.approx({index: alone[place] for index, place in places.items()}, rel=1e-5)


def test_samplers_of_each_process_add_up(ranks, tmp_path):
    folder, results = ranks
    assert "hold different images of one data set" in results[0]["own samplers"][1][0]
    assert scores_in(folder / "samplers") == pytest.approx(score_of_every_image(tmp_path), rel=1e-5)


def test_one_data_set_without_a_distributed_sampler_is_shared_out_and_nothing_is_said(ranks, tmp_path):
    folder, results = ranks
    assert results[0]["one data set"][1] == []
    assert scores_in(folder / "one") == pytest.approx(score_of_every_image(tmp_path), rel=1e-5)
