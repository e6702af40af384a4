"""The monitor in programs that start trainings: Ray Train's workers and Optuna's trials."""

import csv
import os
import re
import runpy
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier

import optuna
import pytest
import torch
from optuna.distributions import FloatDistribution
from optuna.pruners import ThresholdPruner
from optuna.trial import TrialState, create_trial
from torch.utils.data import DataLoader

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import GuidedAbsoluteGrad, SmoothGrad
from tests.callbacks.training import MEAN, STD, Classifier, Patterns, trainer

EXAMPLES = Path(__file__).parents[2] / "examples"
RCAP = "saliency/guided_absolute_grad/rcap"


def run(name, *options):
    """Run an example with one thread and return what it printed."""
    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(EXAMPLES.parent), "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, options)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(("num_workers", "epochs"), [(0, 1), pytest.param(2, 2, marks=pytest.mark.long)])
def test_ray_receives_the_scores_that_are_logged(tmp_path, num_workers, epochs):
    options = ("--num-workers", num_workers, "--epochs", epochs, "--num-images", 5, "--num-batches", 2)
    printed = run("ray_train.py", *options, "--storage", tmp_path).splitlines()
    heading = next(index for index, line in enumerate(printed) if line.startswith("epoch  accuracy"))
    rows = [line.split() for line in printed[heading + 1 : heading + 1 + epochs]]
    with (tmp_path / "logs" / "metrics.csv").open(newline="") as file:
        logged = [row for row in csv.DictReader(file) if row[RCAP]]
    expected = [[row["epoch"], f"{float(row['val_accuracy']):.3f}", f"{float(row[RCAP]):.3f}"] for row in logged]
    assert [row[:3] for row in rows] == expected
    assert len(list(tmp_path.rglob("checkpoint.ckpt"))) == (epochs if num_workers else 0)


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return runpy.run_path(str(EXAMPLES / "optuna_pruning.py"), run_name="optuna_pruning")


@pytest.mark.parametrize(("lower", "state", "epochs"), [(-2, TrialState.COMPLETE, [0, 1]), (2, TrialState.PRUNED, [0])])
def test_a_trial_is_pruned_by_the_score_of_its_explanations(example, lower, state, epochs):
    study = optuna.create_study(direction="maximize", pruner=ThresholdPruner(lower=lower))
    study.optimize(lambda trial: example["train"](trial, epochs=2, num_images=3, num_batches=1), n_trials=1)
    (trial,) = study.trials
    assert trial.state == state
    assert sorted(trial.intermediate_values) == epochs
    assert trial.value == trial.intermediate_values[epochs[-1]]


def test_the_report_names_the_trials_that_were_pruned(example, capsys):
    study = optuna.create_study(direction="maximize")
    for state, scores in {TrialState.COMPLETE: [0.5, 0.25], TrialState.PRUNED: [0.125]}.items():
        options = {"params": {"x": 2.0}, "distributions": {"x": FloatDistribution(0, 9)}}
        study.add_trial(
            create_trial(state=state, value=scores[-1], intermediate_values=dict(enumerate(scores)), **options)
        )
    example["print_report"](study)
    assert capsys.readouterr().out.splitlines()[2:] == [
        "trial 0: complete  x 2  scores by epoch 0.500 0.250",
        "trial 1: pruned    x 2  scores by epoch 0.125",
        "pruned: 1; best: trial 0",
    ]


def test_two_trials_run_in_threads_of_one_process(monkeypatch, capsys):
    options = ("--trials", 3, "--jobs", 2, "--epochs", 1, "--num-images", 3, "--num-batches", 1)
    monkeypatch.setattr(sys, "argv", ["optuna_pruning.py", *map(str, options)])
    monkeypatch.syspath_prepend(str(EXAMPLES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runpy.run_path(str(EXAMPLES / "optuna_pruning.py"), run_name="__main__")
    printed = capsys.readouterr().out
    lines = re.findall(r"^trial (\d): (complete|pruned) .*scores by epoch -?\d\.\d{3}$", printed, re.MULTILINE)
    assert [number for number, _ in lines] == ["0", "1", "2"]
    pruned = ", ".join(number for number, state in lines if state == "pruned") or "none"
    assert f"pruned: {pruned}; best: trial" in printed


def scores_of(module, meet):
    methods = [GuidedAbsoluteGrad(num_samples=2), SmoothGrad(num_samples=2)]

    def waiting(model, images, targets):
        meet()
        return images.mean(dim=1)

    monitor = SaliencyMonitor([*methods, waiting], num_images=4, mean=MEAN, std=STD, log=("*",), cues=())
    with TemporaryDirectory() as folder:  # of each run its own, since files are written without a logger too
        run = trainer([monitor], default_root_dir=folder)
        run.validate(module, DataLoader(Patterns(18), 6), verbose=False)
    metrics = {name: value.item() for name, value in run.callback_metrics.items() if name.startswith("saliency")}
    return {name: value for name, value in metrics.items() if not name.endswith("seconds")}


def test_monitors_of_two_threads_have_the_scores_of_one():
    modules = [Classifier(), Classifier()]
    alone = [scores_of(module, lambda: None) for module in modules]
    barrier = Barrier(2, timeout=60)
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda module: scores_of(module, barrier.wait), modules))
    assert together == alone
    assert alone[0] != alone[1]
    assert torch.is_grad_enabled()
