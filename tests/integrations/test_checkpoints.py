"""`python -m lightning_saliency evaluate`: checkpoints of a finished training."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, IterableDataset

from lightning_saliency import SaliencyMonitor
from lightning_saliency.__main__ import main
from lightning_saliency.checkpoints import evaluate_checkpoints
from lightning_saliency.drift import DRIFT_MEASURES
from lightning_saliency.methods import Gradient
from lightning_saliency.report._reading import read_run
from tests.callbacks.training import MEAN, STD, Classifier, Data, Patterns, fit

ROOT = Path(__file__).parents[2]
# A network that has learned so little may have constant maps.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*are constant"),
    pytest.mark.filterwarnings("ignore:.*GPU available but not used"),
    # Jsonargparse renames a function whose old name earlier versions need.
    pytest.mark.filterwarnings("ignore:(?s).*(JSONARGPARSE_DEPRECATION|removed in v5)"),
]
UNLIKE = {"score": "", "run": ""}
PROJECT = """
from tests.callbacks.training import MEAN, STD, Classifier, Data
from lightning_saliency import SaliencyMonitor

def build():
    return Classifier(), Data(), SaliencyMonitor(["gradient", "grad_cam"], num_images=6, mean=MEAN, std=STD)

def with_loader():
    return Classifier(), Data().val_dataloader()

def wrong():
    return Classifier()

number = 3
"""


def watch(**options):
    return SaliencyMonitor(
        **{
            "methods": ["gradient", "eigen_cam"],
            "num_images": 7,
            "mean": MEAN,
            "std": STD,
            "drift": [*DRIFT_MEASURES],
            "best": "gradient/rcap",
            "log": ("*",),
            **options,
        },
        cues=(),
    )


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """Three epochs with a monitor, and a checkpoint of each."""
    folder = tmp_path_factory.mktemp("training")
    monitor = watch()
    checkpoint = ModelCheckpoint(folder / "checkpoints", filename="{epoch}", save_top_k=-1)
    fit([monitor, checkpoint], max_epochs=3, logger=True, default_root_dir=folder, num_sanity_val_steps=0)
    return monitor.history, sorted((folder / "checkpoints").glob("*.ckpt")), folder


def evaluate(paths, output, **options):
    monitor = options.pop("monitor", None) or watch()
    return evaluate_checkpoints(Classifier(), Data(), paths, output, monitor=monitor, accelerator="cpu", **options)


def values_in(output):
    return read_run(output, "run").scalars


def rows_in(folder):
    (table,) = folder.rglob("saliency.csv")
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_values_are_those_of_the_monitor_that_was_on(training, tmp_path):
    history, paths, folder = training
    assert evaluate([paths[1], paths[2], paths[0]], tmp_path) == []
    scalars = values_in(tmp_path)
    costs = ("/seconds", "/fraction_of_epoch")
    for record in history:
        for name, value in record.values.items():
            if not name.endswith(costs):
                assert scalars[name][record.step] == pytest.approx(value, abs=1e-6), name
        for name, error in record.errors.items():
            if not name.endswith(costs):
                assert scalars[f"{name}_stderr"][record.step] == pytest.approx(error, abs=1e-6), name
    names = {name for record in history for name in record.values}
    assert any("/drift_spearman" in name for name in names)
    assert any(name.endswith("_best") for name in names)
    assert scalars["epoch"] == {record.step: record.epoch for record in history}
    ours, theirs = rows_in(tmp_path), rows_in(folder)
    assert [row | UNLIKE for row in ours] == [row | UNLIKE for row in theirs]
    assert [float(row["score"]) for row in ours] == pytest.approx([float(row["score"]) for row in theirs], abs=1e-6)


def test_pictures_and_the_card_are_logged_at_each_step(training, tmp_path):
    history, paths, folder = training
    evaluate(paths, tmp_path)
    log = read_run(tmp_path, "run")
    (real,) = {path.parent for path in folder.rglob("*tfevents*")}
    expected = read_run(real, "run")
    assert log.pictures.keys() == expected.pictures.keys()
    assert all(log.pictures[tag].keys() == expected.pictures[tag].keys() for tag in log.pictures)
    assert log.texts["saliency/card"].keys() == {history[0].step}


def test_a_second_call_goes_on_where_the_first_one_ended(training, tmp_path):
    _, paths, _ = training
    evaluate(paths, tmp_path / "once")
    for number in (1, 2, 2, 3):
        assert evaluate(paths[:number], tmp_path / "twice") == []
    assert [row["score"] for row in rows_in(tmp_path / "once")] == [row["score"] for row in rows_in(tmp_path / "twice")]
    once, twice = values_in(tmp_path / "once"), values_in(tmp_path / "twice")
    assert once.keys() == twice.keys()
    for name, by_step in once.items():
        if not name.endswith("/seconds"):
            assert twice[name] == by_step


def test_a_call_that_was_killed_before_it_noted_a_step_repeats_it(training, tmp_path):
    _, paths, _ = training
    evaluate(paths[:1], tmp_path)
    before = (tmp_path / "saliency_checkpoints.pt").read_bytes()
    evaluate(paths[:2], tmp_path)
    expected = rows_in(tmp_path)
    (tmp_path / "saliency_checkpoints.pt").write_bytes(before)
    evaluate(paths[:2], tmp_path)
    assert rows_in(tmp_path) == expected


def test_event_files_have_what_is_asked_for_and_the_report_everything(training, tmp_path):
    history, paths, _ = training
    with pytest.warns(UserWarning, match="No value is named like 'rcop' in `log`"):
        evaluate(paths, tmp_path, monitor=watch(log=("gradient/rcap_stderr", "rcop"), best=None, drift=["spearman"]))
    everything = {name for name in values_in(tmp_path) if name.startswith("saliency/")}
    expected = {name for name in history[-1].values if "drift" not in name or name.endswith(("spearman", "n_first"))}
    expected -= {"saliency/fraction_of_epoch"}
    assert {name for name in everything if not name.endswith("_stderr")} == expected
    (tmp_path / "evaluations.csv").unlink()
    logged = {name for name in values_in(tmp_path) if name.startswith("saliency/")}
    of_control = {name for name in expected if name.startswith(("saliency/random/", "saliency/edges/"))}
    assert logged == expected - of_control | {"saliency/gradient/rcap_stderr"}


def test_a_step_before_the_last_one_is_refused_since_drift_would_be_wrong(training, tmp_path):
    _, paths, _ = training
    evaluate(paths[1:], tmp_path)
    (fault,) = evaluate(paths, tmp_path)
    assert fault.startswith(f"'{paths[0]}' was skipped: its step 6 comes before step 18")


def test_drift_restarts_with_a_warning_if_the_images_change(training, tmp_path):
    _, paths, _ = training
    evaluate(paths[:2], tmp_path)
    with pytest.warns(UserWarning, match="The images changed since the last call. Drift restarts."):
        evaluate_checkpoints(
            Classifier(), DataLoader(Patterns(30)), paths[2:], tmp_path, monitor=watch(), accelerator="cpu"
        )
    assert 18 not in values_in(tmp_path)["saliency/gradient/drift_spearman"]


class Stream(IterableDataset):
    """Items in their order."""

    def __iter__(self):
        data = Patterns(18)
        return (data[index] for index in range(18))


def test_a_stream_is_read_once(training, tmp_path):
    _, paths, _ = training
    assert not evaluate_checkpoints(
        Classifier(), DataLoader(Stream(), 4), paths, tmp_path, monitor=watch(), accelerator="cpu"
    )
    assert {row["index"] for row in rows_in(tmp_path)} == set("0123456")


def test_transfer_hooks_apply_and_may_ask_the_trainer(training, tmp_path):
    _, paths, _ = training

    class Normalising(Classifier):
        def on_after_batch_transfer(self, batch, dataloader_idx):
            assert self.trainer.validating
            images, labels = batch
            return images * 0.5, labels

    class Doubling(Data):
        def on_before_batch_transfer(self, batch, dataloader_idx):
            images, labels = batch
            return images * 2, labels

    evaluate(paths[:1], tmp_path / "plain")
    evaluate_checkpoints(Normalising(), Doubling(), paths[:1], tmp_path / "hooks", monitor=watch(), accelerator="cpu")
    assert rows_in(tmp_path / "plain") == rows_in(tmp_path / "hooks")


def test_the_folder_of_a_training_is_refused(training):
    _, paths, folder = training
    (table,) = folder.rglob("saliency.csv")
    before = table.read_bytes()
    with pytest.raises(ValueError, match="`output` must be a folder without results of a training, but got"):
        evaluate(paths, table.parent)
    assert table.read_bytes() == before


@pytest.mark.parametrize(
    ("module", "data", "error", "message"),
    [
        (torch.nn.Linear(1, 1), Data(), TypeError, "`module` must be a LightningModule, but got Linear"),
        (Classifier(), 3, TypeError, "`data` must be a loader or a LightningDataModule, but got int"),
        (pl.LightningModule(), Data(), ValueError, "must have a `forward`"),
    ],
)
def test_wrong_arguments_are_refused(training, tmp_path, module, data, error, message):
    _, paths, _ = training
    with pytest.raises(error, match=message):
        evaluate_checkpoints(module, data, paths, tmp_path, accelerator="cpu")


def test_a_set_up_that_raises_is_shown_with_its_cause(training, tmp_path):
    _, paths, _ = training

    class Broken(Data):
        def setup(self, stage):
            raise ValueError(f"no data for {stage}")

    with pytest.raises(RuntimeError, match="cannot be set up: ValueError: no data for validate") as caught:
        evaluate_checkpoints(Classifier(), Broken(), paths, tmp_path, accelerator="cpu")
    assert isinstance(caught.value.__cause__, ValueError)


def test_layers_may_be_made_in_configure_model(training, tmp_path):
    _, paths, _ = training

    class Late(Classifier):
        def __init__(self):
            super().__init__(torch.nn.Identity())

        def configure_model(self):
            self.network = Classifier().network

    assert not evaluate_checkpoints(Late(), Data(), paths[:1], tmp_path, monitor=watch(), accelerator="cpu")


def test_broken_checkpoints_are_sentences(training, tmp_path):
    _, paths, _ = training
    torch.save({"weights": 1}, tmp_path / "other.ckpt")
    content = torch.load(paths[1], weights_only=True)
    content["state_dict"].pop("network.0.weight")
    torch.save(content, tmp_path / "incomplete.ckpt")
    (tmp_path / "cut.ckpt").write_bytes(paths[0].read_bytes()[:500])
    broken = [tmp_path / name for name in ("missing.ckpt", "other.ckpt", "cut.ckpt", "incomplete.ckpt")]
    faults = evaluate([paths[0], *broken, paths[2]], tmp_path / "logs")
    assert [fault.split("'")[1] for fault in faults] == list(map(str, broken))
    assert "no epoch, global_step, state_dict" in faults[1]
    assert "network.0.weight" in faults[3]
    assert all(fault.count("\n") == 0 for fault in faults)
    assert {row["step"] for row in rows_in(tmp_path / "logs")} == {"6", "18"}


def command(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    line = [sys.executable, "-m", "lightning_saliency", *map(str, arguments)]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_command_evaluates_resumes_and_reports(training, tmp_path):
    _, paths, _ = training
    (tmp_path / "my_project.py").write_text(PROJECT)
    (tmp_path / "broken.ckpt").write_text("no checkpoint")
    arguments = ("evaluate", "my_project:build", *paths[:2], "broken.ckpt", "-o", "logs", "--accelerator", "cpu")
    for _ in range(2):
        done = command(tmp_path, *arguments)
        assert done.returncode == 1
        assert done.stdout == "logs\n"
        assert "'broken.ckpt' was skipped: " in done.stderr
        assert "Traceback" not in done.stderr
        assert {row["step"] for row in rows_in(tmp_path)} == {"6", "12"}
    number = len(rows_in(tmp_path))
    done = command(tmp_path, "evaluate", "my_project:build", *paths, "-o", "logs", "--accelerator", "cpu")
    assert (done.returncode, done.stdout) == (0, "logs\n")
    assert len(rows_in(tmp_path)) > number
    gate = "saliency/gradient/rcap >= -1"
    assert command(tmp_path, "check", "logs", "--gate", gate).returncode == 0
    done = command(tmp_path, "report", "logs")
    assert done.returncode == 0
    page = (tmp_path / "report.html").read_text()
    assert "3 evaluations" in page
    assert "guided_absolute_grad" not in page
    assert "grad_cam" in page


CONFIG = """
seed_everything: 0
ckpt_path: null
trainer:
  max_epochs: 5
  callbacks:
    - class_path: lightning.pytorch.callbacks.ModelCheckpoint
    - class_path: lightning_saliency.SaliencyMonitor
      init_args: {methods: [gradient, eigen_cam], num_images: 7, mean: 0.5, std: 0.25}
model: {class_path: tests.callbacks.training.Classifier}
data: {class_path: tests.callbacks.training.Data, init_args: {batch_size: 4}}
"""


def test_a_configuration_of_lightning_cli_stands_for_a_function(training, tmp_path, capsys):
    _, paths, _ = training
    (tmp_path / "config.yaml").write_text(CONFIG)
    arguments = [tmp_path / "config.yaml", paths[0], "-o", tmp_path / "logs", "--accelerator", "cpu"]
    main(["evaluate", *map(str, arguments)])
    assert capsys.readouterr().out == f"{tmp_path / 'logs'}\n"
    evaluate(paths[:1], tmp_path / "expected")
    assert rows_in(tmp_path / "logs") == rows_in(tmp_path / "expected")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("model: {class_path: tests.callbacks.training.Classifier}", "model: {width: 3}", "but got {'width': 3}"),
        ("data: {", "other: {", "must have `data` with a `class_path`, but got None"),
        ("training.Data,", "training.NoData,", "NoData"),
        ("num_images: 7", "num_pictures: 7", "num_pictures"),
        (CONFIG, "[1, 2]", "must have `model` with a `class_path`, but got None"),
        (CONFIG, "model: [", "cannot be read as YAML"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(old, new, sentence, tmp_path, capsys):
    assert old in CONFIG
    (tmp_path / "config.yaml").write_text(CONFIG.replace(old, new))
    assert sentence in refusal(capsys, tmp_path / "config.yaml", "x.ckpt", "-o", tmp_path / "logs")


def test_a_configuration_that_is_missing_is_one_sentence(tmp_path, capsys):
    assert "a file that can be read" in refusal(capsys, tmp_path / "no.yaml", "x.ckpt", "-o", tmp_path / "logs")


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        ("my_project", "such as my_project:build, but got 'my_project'"),
        (":build", "but got ':build'"),
        ("no_such_project:build", "a module that can be imported, but got 'no_such_project:build'"),
        ("my_project:no_such", "a function of its module, but got 'my_project:no_such'"),
        ("my_project:number", "a function, but got 'my_project:number' of type int"),
        ("my_project:wrong", "'my_project:wrong' returned (Classifier)"),
    ],
)
def test_a_wrong_function_is_one_sentence(build, sentence, tmp_path, monkeypatch, capsys):
    (tmp_path / "my_project.py").write_text(PROJECT)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_project", raising=False)
    assert sentence in refusal(capsys, build, "x.ckpt", "-o", tmp_path / "logs")
    assert not (tmp_path / "logs").exists()


def test_other_wrong_arguments_are_one_sentence(training, tmp_path, monkeypatch, capsys):
    _, paths, folder = training
    (tmp_path / "my_project.py").write_text(PROJECT)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_project", raising=False)
    (table,) = folder.rglob("saliency.csv")
    assert "without results of a training" in refusal(capsys, "my_project:build", paths[0], "-o", table.parent)
    output = tmp_path / "my_project.py"
    assert f"a folder that can be written, but got '{output}'" in refusal(capsys, "my_project:build", "x", "-o", output)
    wrong = ("my_project:build", paths[0], "-o", tmp_path / "logs", "--accelerator", "abacus")
    assert "abacus" in refusal(capsys, *wrong)


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", *map(str, arguments)])
    assert stopped.value.code == 2
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert "Traceback" not in sentence
    return sentence


def test_defaults_are_those_of_the_monitor(training, tmp_path):
    _, paths, _ = training
    data = DataLoader(Patterns(6))
    with pytest.warns(UserWarning, match="normalization is unknown"):
        evaluate_checkpoints(Classifier(), data, paths[:1], tmp_path, accelerator="cpu")
    assert "saliency/guided_absolute_grad/blank" in values_in(tmp_path)


def test_batches_halve_when_memory_runs_out(training, tmp_path):
    _, paths, _ = training

    class Tight(Classifier):
        def forward(self, images):
            if len(images) > 5:
                raise torch.OutOfMemoryError("no room on purpose")
            return super().forward(images)

    monitor = watch(methods=[Gradient()], max_batch_size="auto")
    assert not evaluate_checkpoints(Tight(), Data(), paths, tmp_path, monitor=monitor, accelerator="cpu")
    assert {row["step"] for row in rows_in(tmp_path)} == {"6", "12", "18"}
