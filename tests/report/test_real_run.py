"""A log that a monitor and a gate really wrote: both sides know the same names."""

from pathlib import Path

import pytest
from lightning.pytorch.loggers import TensorBoardLogger

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.methods import GradCAM, Gradient
from lightning_saliency.metrics import RCAP, Insertion
from lightning_saliency.report._clock import Clock
from lightning_saliency.report._gate import gates_of, marks_of
from lightning_saliency.report._monitor import monitors_of, other_scalars
from lightning_saliency.report._reading import read_run
from tests.callbacks.training import MEAN, STD, fit
from tests.report.pages import page_of

METHODS, METRICS, CONTROLS = ["gradient", "grad_cam"], ["rcap", "insertion"], ["random", "edges"]


@pytest.fixture(scope="module", params=[1, 50], ids=["every step logged", "few steps logged"])
def folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    watch = SaliencyMonitor(
        [Gradient(), GradCAM()],
        [RCAP(mean=MEAN, std=STD), Insertion(mean=MEAN, std=STD)],
        controls=CONTROLS,
        num_images=6,
        num_panels=2,
        num_drifted=1,
    )
    gate = GatedCheckpoint(folder / "checkpoints", gates={"saliency/gradient/drift_spearman": ">= -1"})
    fit([watch, gate], logger=TensorBoardLogger(folder, name="run"), log_every_n_steps=request.param, max_epochs=3)
    return folder


@pytest.fixture
def log(folder: Path):
    return read_run(folder / "run" / "version_0", "run")


def test_methods_metrics_and_controls_are_told_apart(log):
    (monitor,) = monitors_of(log)
    assert monitor.methods == METHODS
    assert monitor.controls == CONTROLS
    assert list(monitor.scores) == METRICS
    assert set(monitor.margins) == {(metric, control) for metric in METRICS for control in CONTROLS}
    assert {since for _, since in monitor.drift} == {"since the previous", "since the first", "since the best"}
    assert len(monitor.drift) == 4 * 3
    assert len(monitor.strips) == 3
    assert all(line.errors.keys() == line.values.keys() for lines in monitor.scores.values() for line in lines.values())


def test_nothing_of_the_monitor_is_taken_for_another_value(log):
    others = other_scalars(log, monitors_of(log), gates_of(log))
    assert "val_loss" in others
    assert not any(tag.startswith(("saliency", "gate", "epoch")) for tag in others)


def test_decisions_and_pictures_are_placed_in_the_epochs_they_were_made_in(log):
    clock = Clock.of(log)
    (monitor,) = monitors_of(log)
    assert clock.axis(monitor.steps).places == dict(zip(monitor.steps, range(3), strict=True))
    assert [clock.epochs[mark.step] for mark in marks_of(log, "gate", clock)] == [0, 1, 2]
    assert [mark.passed for mark in marks_of(log, "gate", clock)] == [False, True, True]
    pictures = monitor.strips["drifted_0"]["gradient"]
    assert [clock.epochs[step] for step in clock.counted(pictures).values()] == [1, 2]


def test_the_page_has_it_all(folder):
    page = page_of(folder)
    assert "3 evaluations, the last at epoch 2 · gate passed in 2 of 3 validations" in page.text
    assert "insertion over edges" in page.text
    assert "drifted_0, grad_cam, epoch 2" in page.values("alt")
