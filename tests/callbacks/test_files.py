"""The files beside the logs: which run, stage and monitor a row belongs to."""

import csv
import tracemalloc
import warnings

import pytest
from lightning.pytorch import seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import Gradient, RandomMap
from lightning_saliency.metrics import RCAP
from tests.callbacks.training import MEAN, STD, Classifier, Data, fit, trainer

COLUMNS = ["schema", "stage", "run", "epoch", "step", "name", "value", "stderr", "num_images"]
RCAP_NAME = "saliency/gradient/rcap"


def monitor(name="saliency", **options):
    return SaliencyMonitor(
        [Gradient()], [RCAP(mean=MEAN, std=STD)], num_images=5, num_panels=0, name=name, **options, cues=()
    )


def logger(folder):
    return CSVLogger(folder, name="", version="log")


def table(folder, name="evaluations"):
    with (folder / "log" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def run(folder, *callbacks, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Experiment logs directory")
        return fit(callbacks, logger=logger(folder), **options)


def resume(folder, checkpoint, *callbacks, **options):
    seed_everything(1, verbose=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Experiment logs directory")
        trainer(callbacks, logger=logger(folder), **options).fit(Classifier(), Data(), ckpt_path=checkpoint)


def steps_of(rows, name):
    return [int(row["step"]) for row in rows if row["name"] == name]


def test_every_value_of_every_evaluation_is_a_row(tmp_path):
    watcher = monitor()
    run(tmp_path, watcher)
    rows = table(tmp_path)
    assert list(rows[0]) == COLUMNS
    assert {(row["schema"], row["stage"]) for row in rows} == {("1", "fit")}
    for record in watcher.history:
        part = {row["name"]: row for row in rows if int(row["step"]) == record.step}
        assert {name: float(row["value"]) for name, row in part.items()} == record.values
        assert {name: float(row["stderr"]) for name, row in part.items() if row["stderr"]} == record.errors
        assert {name: int(row["num_images"]) for name, row in part.items()} == record.counts
        assert {int(row["epoch"]) for row in part.values()} == {record.epoch}


def test_fit_validate_and_test_are_one_run_in_three_stages(tmp_path):
    fitter, module = run(tmp_path, monitor(), max_epochs=1)
    fitter.validate(module, Data(), verbose=False)
    fitter.test(module, Data(), verbose=False)
    for name in ("evaluations", "saliency"):
        rows = table(tmp_path, name)
        assert list(dict.fromkeys(row["stage"] for row in rows)) == ["fit", "validate", "test"]
        assert len({row["run"] for row in rows}) == 1
    assert {row["name"].split("/")[0] for row in table(tmp_path)} == {"saliency"}


@pytest.mark.parametrize("is_same", [True, False], ids=["the same monitor", "another monitor"])
def test_a_second_run_in_the_same_folder_is_told_from_the_first(tmp_path, is_same):
    first = monitor()
    run(tmp_path, first, max_epochs=2)
    before = table(tmp_path)
    run(tmp_path, first if is_same else monitor(), max_epochs=1)
    rows = table(tmp_path)
    assert rows[: len(before)] == before
    assert len({row["run"] for row in rows}) == 2
    assert {row["run"] for row in rows[len(before) :]}.isdisjoint(row["run"] for row in before)


def test_monitors_of_one_run_share_a_file_and_a_run(tmp_path):
    run(tmp_path, monitor(), monitor("watch"), monitor("watch/inner"), max_epochs=1)
    rows = table(tmp_path)
    assert len({row["run"] for row in rows}) == 1
    names = [row["name"] for row in rows]
    assert names.count(RCAP_NAME) == names.count("watch/gradient/rcap") == names.count("watch/inner/gradient/rcap") == 1
    assert {row["method"] for row in table(tmp_path, "watch/inner")} == {"gradient", "random", "edges"}


def test_a_resumed_run_replaces_its_rows_and_those_of_no_other(tmp_path):
    names = ("watch/inner", "watch", "saliency")
    run(tmp_path, *map(monitor, names), max_epochs=1)
    other = table(tmp_path)
    saving = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1)
    fitter, module = run(tmp_path, *map(monitor, names), saving, max_epochs=3)
    fitter.validate(module, Data(), verbose=False)
    before = table(tmp_path)
    resume(tmp_path, tmp_path / "step=12.ckpt", *map(monitor, names), saving, max_epochs=4)
    rows = table(tmp_path)
    assert rows[: len(other)] == other
    assert len({row["run"] for row in rows}) == 2
    mine = [row for row in rows[len(other) :] if row["stage"] == "fit"]
    for name in names:
        assert steps_of(mine, f"{name}/gradient/rcap") == [6, 12, 18, 24]
    assert [row for row in rows if row["stage"] == "validate"] == [row for row in before if row["stage"] == "validate"]


def test_a_monitor_that_is_added_at_a_resumption_belongs_to_the_run(tmp_path):
    saving = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1)
    run(tmp_path, monitor(), saving, max_epochs=1)
    resume(tmp_path, tmp_path / "step=6.ckpt", monitor(), monitor("watch"), saving, max_epochs=2)
    rows = table(tmp_path)
    assert len({row["run"] for row in rows}) == 1
    assert steps_of(rows, RCAP_NAME) == [6, 12]
    assert steps_of(rows, "watch/gradient/rcap") == [12]


def test_a_table_of_other_columns_is_left_alone(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "saliency.csv").write_text("step,epoch,score\n1,0,0.5\n")
    with pytest.warns(UserWarning, match=r"`saliency.csv` must have the columns schema.*, but got step, epoch, score"):
        run(tmp_path, monitor(), max_epochs=1)
    assert (tmp_path / "log" / "saliency.csv").read_text() == "step,epoch,score\n1,0,0.5\n"


def test_a_monitor_cannot_be_named_like_the_file_of_all():
    with pytest.raises(ValueError, match=r"`name` must not be .*'evaluations'"):
        SaliencyMonitor([RandomMap()], name="evaluations")


def test_a_long_table_is_not_held_in_memory_when_a_run_is_resumed(tmp_path):
    saving = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1)
    run(tmp_path, monitor(), saving, max_epochs=2)
    before = table(tmp_path, "saliency")
    path = tmp_path / "log" / "saliency.csv"
    first, *rows = path.read_text().splitlines()
    others = [rows[0].replace(before[0]["run"], "another")] * 60_000
    path.write_text("\n".join([first, *others, *rows, ""]))
    tracemalloc.start()
    resume(tmp_path, tmp_path / "step=6.ckpt", monitor(), saving, max_epochs=2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6
    after = table(tmp_path, "saliency")
    assert [row["run"] for row in after[: len(others)]] == ["another"] * len(others)
    assert steps_by_order(after[len(others) :]) == steps_by_order(before) == ["6", "12"]


def steps_by_order(rows):
    return list(dict.fromkeys(row["step"] for row in rows))
