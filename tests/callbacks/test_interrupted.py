"""Signals while the monitor works: nothing is saved of a borrowed network, and what is lost is said."""

import os
import signal

import pytest
import torch
from lightning.pytorch import seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.methods import Gradient
from lightning_saliency.metrics import ParameterRandomization
from tests.callbacks.training import MEAN, STD, Classifier, Data, assert_identical, trainer

PASSING = {"saliency/gradient/parameter_randomization": ">= -1"}


class Signalling:
    """A method that sends a signal to its own process in one of its calls."""

    def __init__(self, kind=None, call=0):
        self.kind = kind
        self.call = call
        self.calls = 0

    def __call__(self, model, images, targets):
        self.calls += 1
        if self.calls == self.call:
            os.kill(os.getpid(), self.kind)
        return images.mean(dim=1)


class AtTheEnd(Classifier):
    """Sends a signal in the second validation's last batch, after the monitor has worked."""

    def validation_step(self, batch, batch_idx):
        super().validation_step(batch, batch_idx)
        if not self.trainer.sanity_checking and self.current_epoch == 1 and batch_idx == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def monitor(method):
    methods = {"gradient": Gradient(), "mean": method}
    return SaliencyMonitor(methods, [ParameterRandomization()], num_images=4, mean=MEAN, std=STD, cues=())


def slurm(monkeypatch):
    """Set the trainer up as SLURM does, with requeueing that does nothing."""
    for name, value in {"SLURM_NTASKS": "1", "SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "train"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("lightning.pytorch.trainer.connectors.signal_connector.call", lambda command: 0)
    return [SLURMEnvironment(auto_requeue=True)]


def run(folder, callbacks, module=None, ckpt_path=None, **options):
    seed_everything(1, verbose=False)
    fitter = trainer(callbacks, max_epochs=3, num_sanity_val_steps=0, default_root_dir=folder, **options)
    module = module or Classifier()
    fitter.fit(module, Data(), ckpt_path=ckpt_path)
    return fitter, module


@pytest.mark.parametrize("call", range(2, 8))
def test_a_requeue_while_the_network_is_borrowed_saves_the_network_as_it_is(tmp_path, monkeypatch, call):
    plugins = slurm(monkeypatch)
    method = Signalling(signal.SIGUSR1, call)
    gate = GatedCheckpoint(tmp_path / "gate", gates=PASSING, save_top_k=-1)
    weights = {}

    class Saved(ModelCheckpoint):
        def on_validation_start(self, trainer, pl_module):
            weights[trainer.current_epoch] = {key: value.clone() for key, value in pl_module.state_dict().items()}

    run(tmp_path, [monitor(method), gate, Saved(tmp_path / "all")], plugins=plugins)
    assert method.calls >= call
    saved = torch.load(tmp_path / "hpc_ckpt_1.ckpt", weights_only=True)
    assert_identical(dict(saved["state_dict"]), dict(weights[saved["epoch"]]))
    assert [decision.passed for decision in gate.decisions] == [True, True, True]
    assert len(list((tmp_path / "gate").glob("*.ckpt"))) == 3


def test_a_requeued_run_says_which_evaluation_it_does_not_have(tmp_path, monkeypatch):
    plugins = slurm(monkeypatch)
    run(tmp_path, [monitor(Signalling(signal.SIGUSR1, 4)), GatedCheckpoint(tmp_path, gates=PASSING)], plugins=plugins)
    watcher, gate = monitor(Signalling()), GatedCheckpoint(tmp_path, gates=PASSING)
    with (
        pytest.warns(UserWarning, match="SaliencyMonitor 'saliency': The validation of epoch 0 at step 6 was interr"),
        pytest.warns(UserWarning, match="GatedCheckpoint 'gate': The validation of epoch 0 at step 6 was interrupted"),
    ):
        run(tmp_path, [watcher, gate], ckpt_path=tmp_path / "hpc_ckpt_1.ckpt", plugins=plugins)
    assert [decision.epoch for decision in gate.decisions] == [1, 2]
    # Lightning does not repeat a validation that a checkpoint was written in.
    assert [record.epoch for record in watcher.history] == [1, 2]


def test_a_validation_that_is_run_again_makes_up_for_the_evaluation(tmp_path):
    run(tmp_path, [monitor(Signalling()), ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1)])
    path = tmp_path / "epoch=0.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["callbacks"]["SaliencyMonitor[saliency]"]["interrupted"] = [1, 12]
    torch.save(checkpoint, path)
    watcher = monitor(Signalling())
    run(tmp_path, [watcher, ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1)], ckpt_path=path)
    assert [record.epoch for record in watcher.history] == [0, 1, 2]


def test_an_evaluation_that_a_signal_to_end_interrupts_is_named_with_its_decision(tmp_path):
    gate = GatedCheckpoint(tmp_path, gates=PASSING)
    with (
        pytest.warns(UserWarning, match="SaliencyMonitor 'saliency': The validation of epoch 1"),
        pytest.warns(UserWarning, match="GatedCheckpoint 'gate': The validation of epoch 1"),
        pytest.raises(SIGTERMException),
    ):
        run(tmp_path, [monitor(Signalling()), gate], AtTheEnd())
    assert [decision.epoch for decision in gate.decisions] == [0]
