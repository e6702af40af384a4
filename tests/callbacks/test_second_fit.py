"""Monitor and gate used for a second training: it starts anew, unless it continues the first."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from lightning.pytorch import seed_everything
from lightning.pytorch.loggers import CSVLogger

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.drift import DRIFT_MEASURES
from lightning_saliency.methods import Gradient
from tests.callbacks.training import MEAN, STD, Classifier, Data, fit, trainer

RELATIVE = {"saliency/gradient/rcap": "worsens <= 0%"}


def monitor(**options):
    everything = {"drift": [*DRIFT_MEASURES], "best": "gradient/rcap", "log": ("*",)}
    return SaliencyMonitor(
        [Gradient()], **{"num_images": 6, "mean": MEAN, "std": STD, **everything, **options}, cues=()
    )


def scores_of(run):
    return {name: value.item() for name, value in run.callback_metrics.items() if name.endswith(("rcap", "spearman"))}


def gate(folder, gates=None):
    return GatedCheckpoint(folder, gates=gates or {"saliency/gradient/rcap": ">= 0"}, save_top_k=1)


def test_a_second_fit_has_no_drift_from_the_first_network():
    watcher = monitor()
    fit([watcher], max_epochs=1)
    run, _ = fit([watcher], max_epochs=1)
    assert not any("drift" in name for name in run.callback_metrics)
    assert [record.epoch for record in watcher.history] == [0]


def test_a_second_fit_logs_what_a_fresh_monitor_logs():
    watcher = monitor()
    fit([watcher])
    again, _ = fit([watcher])
    fresh, _ = fit([monitor()])
    assert scores_of(again) == scores_of(fresh)


def test_a_relative_gate_is_not_judged_by_the_best_of_another_training(tmp_path):
    watcher, checkpoint = monitor(), gate(tmp_path, RELATIVE)
    fit([watcher, checkpoint], max_epochs=1)
    checkpoint_of_first = checkpoint.best_model_path

    class Worse(Classifier):
        def __init__(self):
            super().__init__()
            torch.nn.init.zeros_(self.network[-1].weight)

    fit([watcher, checkpoint], Worse, max_epochs=1)
    assert [decision.passed for decision in checkpoint.decisions] == [True]
    assert checkpoint.best_model_path not in ("", checkpoint_of_first)


def test_a_gate_forgets_the_checkpoints_of_another_training(tmp_path):
    checkpoint = gate(tmp_path)
    fit([monitor(), checkpoint])
    assert checkpoint.best_model_path
    checkpoint.gates = GatedCheckpoint(gates={"saliency/gradient/rcap": ">= 2"}).gates
    fit([monitor(), checkpoint])
    assert checkpoint.best_model_path == ""
    assert checkpoint.best_k_models == {}
    assert [decision.passed for decision in checkpoint.decisions] == [False, False]


def test_a_budget_of_another_training_is_not_kept(tmp_path):
    sizes = []

    def sized(model, images, targets):
        sizes.append(len(images))
        return images.mean(dim=1)

    watcher = SaliencyMonitor({"mean": sized}, num_images=18, max_seconds=1e3, mean=MEAN, std=STD, cues=())
    fit([watcher], max_epochs=1, num_sanity_val_steps=0)
    fit([watcher], max_epochs=1, num_sanity_val_steps=0)
    assert sizes == [18, 18]
    assert watcher.settings.max_seconds is None  # used up by the second training's first evaluation


def test_a_fit_that_continues_the_same_trainer_keeps_everything(tmp_path):
    watcher, checkpoint = monitor(), gate(tmp_path, RELATIVE)
    seed_everything(1, verbose=False)
    run, module = trainer([watcher, checkpoint], max_epochs=1), Classifier()
    run.fit(module, Data())
    run.fit_loop.max_epochs = 2
    run.fit(module, Data())
    assert "saliency/gradient/drift_spearman_first" in run.callback_metrics
    assert [record.epoch for record in watcher.history] == [0, 1]
    assert [decision.epoch for decision in checkpoint.decisions] == [0, 1]


def test_a_validation_and_a_test_after_training_keep_everything():
    watcher = monitor()
    run, module = fit([watcher])
    run.validate(module, Data(), verbose=False)
    run.test(module, Data(), verbose=False)
    assert [record.stage for record in watcher.history] == ["fit", "fit", "validate", "test"]
    assert watcher.memory.maps
    last = watcher.history[-1].values["saliency/gradient/rcap"]
    assert last == pytest.approx(run.callback_metrics["test_saliency/gradient/rcap"].item())


def test_two_monitors_leave_the_loops_as_they_were():
    run, _ = fit([monitor(), monitor(name="other")])
    assert run.validate_loop.inference_mode
    assert run.test_loop.inference_mode


def test_a_gate_without_a_folder_writes_where_the_second_training_logs(tmp_path):
    checkpoint = GatedCheckpoint(gates={"saliency/gradient/rcap": ">= 0"})
    folders = []
    for name in ("first", "second"):
        fit([monitor(), checkpoint], max_epochs=1, logger=CSVLogger(tmp_path, name=name))
        folders.append(Path(checkpoint.best_model_path).relative_to(tmp_path).parts[0])
    assert folders == ["first", "second"]


def test_a_copy_of_a_callback_belongs_to_another_training():
    watcher = monitor()
    fit([watcher], max_epochs=1)
    copied = deepcopy(watcher)
    fit([copied], max_epochs=2)
    assert [len(one.history) for one in (watcher, copied)] == [1, 2]
