"""A monitor logs a few values, and others where a callback, a scheduler or the user asks for them."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from lightning_saliency import GatedCheckpoint, SaliencyMonitor, cues
from lightning_saliency.methods import Gradient
from lightning_saliency.report._reading import read_run
from tests.callbacks.training import MEAN, STD, Classifier, Data, fit

SCORE = "saliency/gradient/rcap"
ERROR = f"{SCORE}_stderr"


def monitor(**options: Any) -> SaliencyMonitor:
    return SaliencyMonitor([Gradient()], ["rcap"], **{"num_images": 6, "mean": MEAN, "std": STD, **options}, cues=())


def logged_by(run: Any, name: str = "saliency") -> set[str]:
    return {tag for tag in run.callback_metrics if tag.startswith(f"{name}/")}


def by_rule(methods: list[str], metrics: list[str]) -> set[str]:
    """List what a monitor logs if nobody asks for more."""
    of_methods = {"invalid", "blank", "drift_spearman", "drift_spearman_first"}
    of_methods |= {f"{metric}{end}" for metric in metrics for end in ("", "_vs_random", "_vs_edges")}
    names = {f"saliency/{method}/{value}" for method in methods for value in of_methods}
    return names | {"saliency/seconds", "saliency/fraction_of_epoch"}


CONTROLS = ("random", "edges")
DEFAULT = by_rule(["gradient"], ["rcap"])


def test_the_default_monitor_logs_at_most_thirty_values(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    watcher = SaliencyMonitor(num_images=6, mean=MEAN, std=STD)
    run, _ = fit([watcher], max_epochs=3, logger=logger, log_every_n_steps=1)
    in_tensorboard = {tag for tag in read_run(Path(logger.log_dir), "run").scalars if tag.startswith("saliency/")}
    # The images have one channel, and so no colour.
    applicable = [cue.name for cue in cues.DEFAULT if cue.name != "colour"]
    expected = by_rule(["guided_absolute_grad", "grad_cam"], ["rcap"])
    expected |= {"saliency/alarm"} | {f"saliency/cues/{name}" for name in applicable}
    assert logged_by(run) == expected
    assert len(expected) < 30
    # The report has more of them than TensorBoard.
    assert expected < in_tensorboard


class Reading(Callback):
    """A callback of the user's that looks at a value, as those of Lightning do."""

    monitor = "saliency/random/rcap"


class Scheduled(Classifier):
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.05)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": ERROR}}


def checkpoint(filename: str, **options: Any) -> ModelCheckpoint:
    return ModelCheckpoint(filename=filename, **options)


def gated(rule: str, **options: Any) -> GatedCheckpoint:
    return GatedCheckpoint(gates={SCORE: rule}, **options)


ASKING: dict[str, tuple[Any, set[str]]] = {
    "nobody": (list, set()),
    "early stopping": (lambda: [EarlyStopping(ERROR)], {ERROR}),
    "a checkpoint": (lambda: [checkpoint("{epoch}", monitor=ERROR)], {ERROR}),
    "a file name": (lambda: [checkpoint("{epoch}-{" + ERROR + ":.3f}")], {ERROR}),
    "a file name without names of values": (
        lambda: [checkpoint("e={epoch} r={" + ERROR + "}", auto_insert_metric_name=False)],
        {ERROR},
    ),
    "a gate on a score": (lambda: [gated(">= 0")], set()),
    "a gate with standard errors": (lambda: [gated(">= 0 by 2 stderr")], {ERROR}),
    "a gate on an error": (lambda: [GatedCheckpoint(gates={ERROR: "<= 1"})], {ERROR}),
    "the monitor of a gated checkpoint": (lambda: [gated(">= 0", monitor=ERROR)], {ERROR}),
    "a bound of a band": (lambda: [EarlyStopping(f"{SCORE}_vs_random_low")], {f"{SCORE}_vs_random_low"}),
    "a callback of the user's": (lambda: [Reading()], {"saliency/random/rcap"}),
    "a value of the module": (lambda: [EarlyStopping("val_loss")], set()),
}


@pytest.mark.parametrize(("callbacks", "more"), ASKING.values(), ids=ASKING)
def test_what_a_callback_reads_is_logged_besides_and_nothing_else(tmp_path, callbacks, more):
    logger = CSVLogger(tmp_path, name="", version="log")
    run, _ = fit([monitor(), *callbacks()], logger=logger, default_root_dir=tmp_path)
    assert logged_by(run) == DEFAULT | more
    with (tmp_path / "log" / "metrics.csv").open(newline="") as file:
        columns = next(csv.reader(file))
    assert {column for column in columns if column.startswith("saliency/")} == DEFAULT | more


def test_what_a_scheduler_reads_is_logged():
    run, _ = fit([monitor()], Scheduled)
    assert logged_by(run) == DEFAULT | {ERROR}


def test_a_file_name_has_the_value_of_its_evaluation(tmp_path):
    watcher = monitor()
    name = "{epoch}=" + "{" + ERROR + ":.6f}"
    fit([watcher, ModelCheckpoint(tmp_path, name, auto_insert_metric_name=False, save_top_k=-1)])
    expected = [f"{record.epoch}={record.errors[SCORE]:.6f}.ckpt" for record in watcher.history]
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == expected


PATTERNS: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "a name": (("gradient/rcap_stderr",), {ERROR}),
    "errors of scores": (("*/rcap_stderr",), {ERROR, *(f"saliency/{control}/rcap_stderr" for control in CONTROLS)}),
    "the control": (("random/*",), {"saliency/random/rcap", "saliency/random/rcap_stderr"}),
    "two": (("random/rcap", "gradient/rcap_vs_random_h*"), {"saliency/random/rcap", f"{SCORE}_vs_random_high"}),
    "a default": (("seconds",), set()),
    "drift that comes later": (
        ("*/drift_*_stderr",),
        {f"saliency/gradient/drift_spearman{since}_stderr" for since in ("", "_first")},
    ),
}


@pytest.mark.parametrize(("log", "more"), PATTERNS.values(), ids=PATTERNS)
def test_names_and_patterns_add_values(log, more):
    run, _ = fit([monitor(log=log)])
    assert logged_by(run) == DEFAULT | more


def test_a_star_logs_everything():
    watcher = monitor(log=("*",))
    run, _ = fit([watcher])
    record = watcher.history[-1]
    bands = {f"{SCORE}_vs_{control}{end}" for control in CONTROLS for end in ("_low", "_high")}
    assert logged_by(run) == {*record.values, *(f"{name}_stderr" for name in record.errors)} | bands
    value, error = record.values[f"{SCORE}_vs_random"], record.errors[f"{SCORE}_vs_random"]
    assert run.callback_metrics[f"{SCORE}_vs_random_low"].item() == pytest.approx(value - error, abs=1e-6)


def test_a_test_logs_the_same_values_under_its_names():
    watcher = monitor(log=("*/rcap_stderr",))
    run, module = fit([watcher])
    run.test(module, Data(), verbose=False)
    errors = {ERROR, *(f"saliency/{control}/rcap_stderr" for control in CONTROLS)}
    expected = {f"test_{name}" for name in DEFAULT | errors if "drift" not in name}
    assert logged_by(run, "test_saliency") == expected - {"test_saliency/fraction_of_epoch"}


def test_what_one_monitor_is_asked_for_is_not_logged_by_another():
    run, _ = fit([monitor(), monitor(name="other", log=("*_vs_random_stderr",)), EarlyStopping(ERROR)])
    assert logged_by(run) == DEFAULT | {ERROR}
    other = {name.replace("saliency/", "other/") for name in DEFAULT}
    assert logged_by(run, "other") == other | {"other/gradient/rcap_vs_random_stderr"}


def test_everything_that_is_computed_is_in_the_table_and_in_the_history(tmp_path):
    watcher = monitor()
    fit([watcher], logger=CSVLogger(tmp_path, name="", version="log"))
    with (tmp_path / "log" / "evaluations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    record = watcher.history[-1]
    last = [row for row in rows if row["epoch"] == "1"]
    assert {row["name"]: float(row["value"]) for row in last} == record.values
    assert {row["name"]: float(row["stderr"]) for row in last if row["stderr"]} == record.errors
    assert record.values.keys() == DEFAULT | {f"saliency/{control}/rcap" for control in CONTROLS}
    assert record.errors.keys() == {name for name in record.values if "rcap" in name or "drift" in name}


@pytest.mark.parametrize("pattern", ["*/rcop_stderr", "saliency/*/rcap_stderr", "used"])
def test_a_pattern_that_matches_nothing_is_said_once_at_the_first_evaluation(pattern):
    with pytest.warns(UserWarning, match="No value is named like") as warnings:
        run, _ = fit([monitor(log=(pattern, "random/rcap"))], max_epochs=3)
    sentences = [str(warning.message) for warning in warnings if "No value" in str(warning.message)]
    assert len(sentences) == 1
    assert repr(pattern) in sentences[0]
    assert logged_by(run) == DEFAULT | {"saliency/random/rcap"}


@pytest.mark.parametrize("log", ["*", ("*", 3), None, {"*"}])
def test_what_is_no_sequence_of_texts_is_refused(log):
    with pytest.raises(TypeError, match=r"`log` must be a sequence of names or patterns, but got .*\."):
        SaliencyMonitor(log=log)


@pytest.mark.parametrize(
    "best", ["saliency/grad_cam/rcap", "grad_cam/rcap_stderr", "random/rcap", "val_loss", "", ["a"]]
)
def test_a_best_score_that_is_none_is_refused_with_those_there_are(best):
    with pytest.raises(ValueError, match=r"`best` to be one of 'guided_absolute_grad/rcap'.*, but got"):
        SaliencyMonitor(best=best)


@pytest.mark.parametrize("checkpoints", [True, False])
def test_without_a_best_score_nothing_is_guessed(tmp_path, checkpoints):
    watcher = monitor()
    callbacks = [ModelCheckpoint(monitor="val_loss"), gated(">= 0", monitor=SCORE)] if checkpoints else []
    fit([watcher, *callbacks], max_epochs=3, default_root_dir=tmp_path)
    assert not any(name.endswith("_best") for record in watcher.history for name in record.values)
    assert watcher.memory.maps.keys() == {"first", "previous"}


def test_a_test_prints_no_more_rows_than_a_validation_logs():
    watcher = SaliencyMonitor(num_images=6, mean=MEAN, std=STD)
    run, module = fit([watcher], max_epochs=1)
    validated = run.validate(module, Data().val_dataloader(), verbose=False)[0]
    tested = run.test(module, Data().test_dataloader(), verbose=False)[0]
    rows = [name for name in tested if name.startswith("test_saliency/")]
    assert 0 < len(rows) <= len([name for name in validated if name.startswith("saliency/")])
