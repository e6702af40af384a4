"""Users of `pytorch_lightning` get everything that users of `lightning` get."""

import queue
import sys
from pathlib import Path

import lightning.pytorch
import pytest
import pytorch_lightning
import pytorch_lightning.callbacks
import pytorch_lightning.cli
import pytorch_lightning.loggers
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.checkpoints import evaluate_checkpoints
from lightning_saliency.methods import Gradient
from tests.callbacks.training import MEAN, STD, Classifier, Network, Patterns, assert_identical, fit, trace

NAME_SPACES = {"lightning": lightning.pytorch, "pytorch_lightning": pytorch_lightning}
SCORE = "saliency/gradient/rcap"


class Other(pytorch_lightning.LightningModule):
    """The classifier of the other tests in the other name space."""

    def __init__(self):
        super().__init__()
        self.network = Network()
        self.losses = []

    forward = Classifier.forward
    training_step = Classifier.training_step
    validation_step = Classifier.validation_step
    test_step = Classifier.test_step
    configure_optimizers = Classifier.configure_optimizers


class OtherData(pytorch_lightning.LightningDataModule):
    """The data of the other tests in the other name space; its hook counts batches in what is not restored."""

    def __init__(self):
        super().__init__()
        self.batches = queue.Queue()

    def train_dataloader(self):
        return DataLoader(Patterns(48, augment=True), 8, shuffle=True)

    def val_dataloader(self):
        return DataLoader(Patterns(18, augment=True), 8)

    test_dataloader = val_dataloader

    def on_before_batch_transfer(self, batch, dataloader_idx):
        self.batches.put(None)
        return batch


def monitor(**options):
    return SaliencyMonitor(
        [Gradient()], **{"num_images": 6, "num_panels": 1, "mean": MEAN, "std": STD, **options}, cues=()
    )


def fit_other(folder, callbacks, **options):
    pytorch_lightning.seed_everything(1, verbose=False)
    module = Other()
    defaults = {"max_epochs": 2, "accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    options = {**defaults, "enable_model_summary": False, "default_root_dir": folder, **options}
    run = pytorch_lightning.Trainer(callbacks=callbacks, **options)
    run.fit(module, OtherData())
    return run, module


def test_scores_are_those_of_the_other_name_space(tmp_path):
    watcher, same = monitor(), monitor()
    fit([same])
    fit_other(tmp_path, [watcher])
    for record, other in zip(watcher.history, same.history, strict=True):
        for name in record.values.keys() - {"saliency/seconds", "saliency/fraction_of_epoch"}:
            assert record.values[name] == pytest.approx(other.values[name], rel=1e-6), name


def test_training_is_bit_identical_with_and_without_a_monitor(tmp_path):
    alone = trace(*fit_other(tmp_path, []))
    assert_identical(trace(*fit_other(tmp_path, [monitor()])), alone)


@pytest.mark.parametrize("name", NAME_SPACES)
def test_loggers_of_both_get_pictures_card_charts_and_runs(tmp_path, name):
    loggers = NAME_SPACES[name].loggers
    board = loggers.TensorBoardLogger(tmp_path / "board", name="")
    files = loggers.CSVLogger(tmp_path / "files", name="", version="run")
    run, module = fit_other(tmp_path, [monitor()], logger=[board, files], log_every_n_steps=1)
    run.test(module, OtherData(), verbose=False)
    events = EventAccumulator(board.log_dir)
    events.Reload()
    tags = events.Tags()
    assert {"saliency/gradient/image_0", "test_saliency/curves/rcap"} <= {
        tag.replace(tag.rpartition("_")[2], "0") if "image_" in tag else tag for tag in tags["images"]
    }
    assert {"saliency/card/text_summary", "custom_scalars__config__"} <= set(tags["tensors"])
    assert SCORE in tags["scalars"]
    assert "_hparams_/experiment" in events.summary_metadata
    assert list((tmp_path / "files").rglob("pictures/saliency/curves/rcap/*.png"))
    assert list((tmp_path / "files").rglob("texts/saliency/card/*.md"))
    assert Path(board.log_dir, "saliency.csv").is_file()


def test_no_checkpoint_exists_if_every_gate_refused(tmp_path):
    gate = GatedCheckpoint(gates={SCORE: ">= 2"}, save_last=True)
    run, _ = fit_other(tmp_path, [monitor(), gate])
    assert run.checkpoint_callbacks == [gate]
    assert [decision.passed for decision in gate.decisions] == [False, False]
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_gate_saves_is_found_and_resumed(tmp_path):
    gate = GatedCheckpoint(tmp_path, gates={SCORE: ">= -2"}, monitor="val_loss", save_last=True)
    run, module = fit_other(tmp_path, [monitor(), gate], max_epochs=1)
    assert isinstance(gate, pytorch_lightning.callbacks.ModelCheckpoint)
    run.validate(module, OtherData(), ckpt_path="best", verbose=False)
    watcher, again = monitor(), GatedCheckpoint(tmp_path, gates={SCORE: ">= -2"}, monitor="val_loss", save_last=True)
    options = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    options["default_root_dir"] = tmp_path
    resumed = pytorch_lightning.Trainer(max_epochs=2, callbacks=[watcher, again], **options)
    resumed.fit(Other(), OtherData(), ckpt_path="last", weights_only=True)
    assert [record.epoch for record in watcher.history] == [0, 1]
    assert [decision.epoch for decision in again.decisions] == [0, 1]


def test_a_single_callback_needs_no_list(tmp_path):
    watcher = monitor()
    run, _ = fit_other(tmp_path, watcher, enable_checkpointing=False)
    assert SCORE in run.callback_metrics
    assert isinstance(watcher, pytorch_lightning.Callback)


def test_averaged_weights_are_those_that_are_explained(tmp_path):
    watcher = monitor()
    averaging = pytorch_lightning.callbacks.EMAWeightAveraging(decay=0.5)
    run, module = fit_other(tmp_path, [watcher, averaging], enable_checkpointing=False, max_epochs=1)
    explained = watcher.history[-1].values[SCORE]
    again = monitor()
    # At the end of training the module has the averaged weights.
    run.callbacks = [again]
    run.validate(module, OtherData(), verbose=False)
    assert again.history[-1].values[SCORE] == pytest.approx(explained, rel=1e-5)


def test_the_progress_bar_tells_of_images(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    lines = []

    class Bar(pytorch_lightning.callbacks.TQDMProgressBar):
        def init_validation_tqdm(self):
            bar = super().init_validation_tqdm()
            set_description = bar.set_description
            bar.set_description = lambda text=None, refresh=True: (lines.append(text), set_description(text, refresh))
            return bar

    fit_other(tmp_path, [monitor(), Bar()], enable_progress_bar=True, max_epochs=1)
    assert "Explaining 6/6" in lines


def test_a_module_without_forward_is_refused_with_the_way_out(tmp_path):
    class Bare(pytorch_lightning.LightningModule):
        training_step = Classifier.training_step
        validation_step = Classifier.validation_step
        configure_optimizers = Classifier.configure_optimizers

    options = {"max_epochs": 1, "accelerator": "cpu", "logger": False, "default_root_dir": tmp_path}
    with pytest.raises(ValueError, match=r"Bare must have a `forward`.*Pass `model`"):
        pytorch_lightning.Trainer(callbacks=[monitor()], **options).fit(Bare(), OtherData())


def test_hooks_of_module_and_data_read_the_images(tmp_path):
    class Counting(Other):
        moved = queue.Queue()

        def on_before_batch_transfer(self, batch, dataloader_idx):
            self.moved.put(None)
            return batch

    module, data = Counting(), OtherData()
    options = {"max_epochs": 1, "accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    options |= {"enable_model_summary": False, "enable_checkpointing": False, "num_sanity_val_steps": 0}
    options["default_root_dir"] = tmp_path
    loop = 6 + 3
    pytorch_lightning.Trainer(callbacks=[monitor()], **options).fit(
        module, data.train_dataloader(), data.val_dataloader()
    )
    assert module.moved.qsize() > loop
    pytorch_lightning.Trainer(callbacks=[monitor()], **options).fit(Other(), data)
    assert data.batches.qsize() > loop


def test_finished_checkpoints_are_evaluated(tmp_path):
    saving = pytorch_lightning.callbacks.ModelCheckpoint(tmp_path, save_top_k=-1)
    fit_other(tmp_path, [saving])
    paths = sorted(tmp_path.glob("*.ckpt"))
    faults = evaluate_checkpoints(Other(), OtherData(), paths, tmp_path / "out", monitor=monitor(), accelerator="cpu")
    assert len(paths) == 2
    assert faults == []
    assert (tmp_path / "out" / "saliency.csv").is_file()


CONFIG = """
trainer:
  max_epochs: 1
  accelerator: cpu
  logger: false
  enable_progress_bar: false
  enable_model_summary: false
  default_root_dir: {folder}
  callbacks:
    - class_path: lightning_saliency.SaliencyMonitor
      init_args: {{methods: [gradient], num_images: 6, mean: 0.5, std: 0.25}}
    - class_path: lightning_saliency.GatedCheckpoint
      init_args: {{gates: {{saliency/gradient/rcap: ">= -2"}}, monitor: val_loss, save_last: true}}
"""


@pytest.mark.filterwarnings("ignore:(?s).*(JSONARGPARSE_DEPRECATION|removed in v5)")
def test_the_command_line_takes_both_callbacks(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text(CONFIG.format(folder=tmp_path))
    monkeypatch.setattr(sys, "argv", ["main.py"])
    arguments = ["fit", "--config", str(tmp_path / "mine.yaml"), "--seed_everything=1"]
    cli = pytorch_lightning.cli.LightningCLI(Other, OtherData, args=arguments)
    assert SCORE in cli.trainer.callback_metrics
    (gate,) = cli.trainer.checkpoint_callbacks
    assert [decision.passed for decision in gate.decisions] == [True]
    assert torch.load(gate.last_model_path, weights_only=True)["epoch"] == 0
