"""`python -m lightning_saliency check`: gates on the last evaluation of finished runs."""

import csv
import re
import subprocess
import sys
import warnings

import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from lightning_saliency import SaliencyMonitor
from lightning_saliency.__main__ import main
from lightning_saliency.methods import Gradient
from lightning_saliency.metrics import RCAP
from tests.callbacks.training import MEAN, STD, Data, fit
from tests.report.logs import write, write_log

COLUMNS = ["schema", "stage", "run", "epoch", "step", "name", "value", "stderr", "num_images"]
RCAP_NAME = "saliency/grad_cam/rcap"


def evaluation(epoch, values, monitor="saliency", stage="fit", run="r1", error=0.01):
    """List the rows of one evaluation."""
    values = {"seconds": 1.0, "grad_cam/invalid": 0.0, **values}
    return [
        [1, stage, run, epoch, 10 * epoch, f"{monitor}/{name}", value, "" if error is None else error, 5]
        for name, value in values.items()
    ]


def write_table(folder, *evaluations, columns=COLUMNS):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "evaluations.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *(row for rows in evaluations for row in rows)])


def check(capsys, folder, *gates, stage=None):
    """Return the exit status, the lines of the output and the sentence of a refusal."""
    options = [part for gate in gates for part in ("--gate", gate)]
    with pytest.raises(SystemExit) as stopped:
        main(["check", str(folder), *options, *(("--stage", stage) if stage else ())])
    printed = capsys.readouterr()
    return stopped.value.code, printed.out.splitlines(), printed.err


def status(capsys, folder, *gates, stage=None):
    return check(capsys, folder, *gates, stage=stage)[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    loggers = [CSVLogger(folder, name="", version="table"), TensorBoardLogger(folder, name="", version="events")]
    monitor = SaliencyMonitor([Gradient()], [RCAP(mean=MEAN, std=STD)], num_images=5, num_panels=0, log=("*",), cues=())
    run, module = fit([monitor], logger=loggers)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Experiment logs directory")
        run.test(module, Data(), verbose=False)
    return folder, monitor.history


@pytest.mark.parametrize("source", ["table", "events"])
@pytest.mark.parametrize("stage", ["fit", "test"])
def test_the_last_evaluation_of_a_training_is_judged(trained, capsys, source, stage):
    folder, history = trained
    name = "saliency/gradient/rcap"
    record = [record for record in history if record.stage == stage][-1]
    value, error = record.values[name], record.errors[name]
    gates = [f"{name} >= {value - 1e-4:.7f}", f"{name}>={value + 1e-4:.7f}", f"{name} >= {value} by 1 stderr"]
    code, lines, _ = check(capsys, folder / source, *gates, stage=stage)
    assert code == 1
    assert [line.split()[0] for line in lines] == ["passed", "failed", "failed"]
    assert f"{name} is {value:.4g} +- {error:.2g}" in lines[2]
    assert status(capsys, folder / source, gates[0], stage=stage) == 0


def test_event_files_do_not_tell_validation_from_training(trained, capsys):
    code, lines, _ = check(capsys, trained[0] / "events", "saliency/gradient/rcap >= 0", stage="validate")
    assert code == 2
    assert "event files do not tell validate from fit" in lines[0]


def test_every_gate_has_a_line_for_every_run_in_the_order_of_their_numbers(tmp_path, capsys):
    write_table(tmp_path / "version_10", evaluation(0, {"grad_cam/rcap": 0.5}))
    write_table(
        tmp_path / "version_2",
        evaluation(0, {"grad_cam/rcap": 0.5}),
        evaluation(0, {"grad_cam/rcap": 0.1}, run="r2"),
    )
    code, lines, _ = check(capsys, tmp_path, f"{RCAP_NAME} >= 0.3", f"{RCAP_NAME} <= 0.6")
    assert code == 1
    assert lines == [
        f"passed version_2 r1: {RCAP_NAME} is 0.5, required >= 0.3",
        f"passed version_2 r1: {RCAP_NAME} is 0.5, required <= 0.6",
        f"failed version_2 r2: {RCAP_NAME} is 0.1, required >= 0.3",
        f"passed version_2 r2: {RCAP_NAME} is 0.1, required <= 0.6",
        f"passed version_10 r1: {RCAP_NAME} is 0.5, required >= 0.3",
        f"passed version_10 r1: {RCAP_NAME} is 0.5, required <= 0.6",
    ]


def test_a_value_that_the_last_evaluation_lacks_is_not_taken_from_an_earlier_one(tmp_path, capsys):
    write_table(tmp_path, evaluation(0, {"grad_cam/rcap": 0.5}), evaluation(1, {}))
    code, lines, _ = check(capsys, tmp_path, f"{RCAP_NAME} >= 0.3")
    assert code == 2
    assert lines == [f"unknown {tmp_path.name} r1: {RCAP_NAME} has no value in the last evaluation, required >= 0.3"]


def test_the_last_evaluation_is_that_of_the_monitor_of_the_value(tmp_path, capsys):
    rare = evaluation(0, {"grad_cam/rcap": 0.5}, monitor="saliency/rare")
    write_table(tmp_path, rare, evaluation(0, {"grad_cam/rcap": 0.1}), evaluation(1, {"grad_cam/rcap": 0.2}))
    assert status(capsys, tmp_path, "saliency/rare/grad_cam/rcap >= 0.5", f"{RCAP_NAME} <= 0.2") == 0


def test_two_validations_at_one_step_are_two_evaluations(tmp_path, capsys):
    scores = (0.9, 0.5)
    write_table(tmp_path, *(evaluation(0, {"grad_cam/rcap": score}, stage="validate") for score in scores))
    assert status(capsys, tmp_path, f"{RCAP_NAME} worsens <= 10%", stage="validate") == 1
    assert status(capsys, tmp_path, f"{RCAP_NAME} worsens <= 50%", stage="validate") == 0


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("rcap", (0.2, 0.5, 0.46), 0),
        ("rcap", (0.2, 0.5, 0.44), 1),
        ("infidelity", (0.9, 0.5, 0.54), 0),
        ("infidelity", (0.9, 0.5, 0.56), 1),
        ("infidelity_vs_random", (0.2, 0.5, 0.44), 1),
        ("drift_center_shift_first", (1.0, 1.0, 2.0), 1),
        ("blank", (4, 4, 5), 1),
        ("rcap", (0.5,), 0),
        ("brightness", (0.5, 0.5), 2),
        ("rcap_stderr", (0.5, 0.5), 2),
    ],
)
def test_worse_is_against_the_best_earlier_evaluation_in_the_direction_of_the_metric(
    tmp_path, capsys, name, values, expected
):
    write_table(
        tmp_path, *(evaluation(epoch, {f"grad_cam/{name}": value}, error=None) for epoch, value in enumerate(values))
    )
    code, lines, _ = check(capsys, tmp_path, f"saliency/grad_cam/{name} worsens <= 10%")
    assert code == expected
    assert ("is not known by its name, so use '>= x' or '<= x'" in lines[0]) == (expected == 2)


def test_a_missing_standard_error_is_unknown_only_where_it_is_needed(tmp_path, capsys):
    write_table(tmp_path, evaluation(0, {"grad_cam/rcap": 0.5}, error=None))
    assert status(capsys, tmp_path, f"{RCAP_NAME} >= 0.3") == 0
    code, lines, _ = check(capsys, tmp_path, f"{RCAP_NAME} >= 0.3 by 2 stderr")
    assert code == 2
    assert "rcap_stderr has no value" in lines[0]


def test_a_failing_gate_counts_more_than_a_run_without_a_value(tmp_path, capsys):
    write_table(tmp_path / "a", evaluation(0, {"grad_cam/rcap": 0.5}, stage="validate"))
    write_table(tmp_path / "b", evaluation(0, {"grad_cam/rcap": 0.5}))
    assert status(capsys, tmp_path, f"{RCAP_NAME} >= 0.3") == 2
    assert status(capsys, tmp_path, f"{RCAP_NAME} >= 0.6") == 1


def test_a_value_that_is_no_number_fails(tmp_path, capsys):
    write_table(tmp_path, evaluation(0, {"grad_cam/rcap": "nan"}))
    assert status(capsys, tmp_path, f"{RCAP_NAME} >= 0", f"{RCAP_NAME} <= 1") == 1


def test_values_of_the_module_can_be_judged_from_event_files(tmp_path, capsys):
    write_log(tmp_path)
    assert status(capsys, tmp_path, "val_loss <= 0.34", f"{RCAP_NAME} >= 0.4 by 2 stderr") == 1
    assert status(capsys, tmp_path, "val_loss <= 0.34", f"{RCAP_NAME} >= 0.3 by 2 stderr") == 0
    assert status(capsys, tmp_path, "val_loss worsens <= 10%") == 2


def test_a_run_that_no_monitor_watched_is_unknown(tmp_path, capsys):
    write_log(tmp_path / "a")
    write(tmp_path / "b", {"val_loss": {1: 0.5}})
    code, lines, _ = check(capsys, tmp_path, f"{RCAP_NAME} >= 0")
    assert code == 2
    assert [line.split(":")[0] for line in lines] == ["passed a", "unknown b"]


def test_a_table_is_preferred_to_event_files_in_and_under_its_folder(tmp_path, capsys):
    write_log(tmp_path / "run")
    write(tmp_path / "run" / "loss_train", {"loss": {1: 0.5}})
    write_table(tmp_path / "run", evaluation(0, {"grad_cam/rcap": 0.75}))
    _, lines, _ = check(capsys, tmp_path, f"{RCAP_NAME} >= 0")
    assert lines == [f"passed run r1: {RCAP_NAME} is 0.75, required >= 0"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must have the columns .* but got none"),
        ("a,b\n1,2\n", "must have the columns .* but got a, b"),
        (",".join(COLUMNS) + "\n", "has no rows"),
        (",".join(COLUMNS) + "\n2,fit,r1,0,0,saliency/seconds,1,,5\n", "line 2, must have the schema 1, but got '2'"),
        (",".join(COLUMNS) + "\n1,fit,r1,0,0,saliency/seconds\n", "line 2, must have 9 values"),
        (",".join(COLUMNS) + "\n1,fit,r1,0,0,saliency/seconds,high,,5\n", "a number as value, but got 'high'"),
        (",".join(COLUMNS) + '\n1,fit,r1,0,0,"saliency', "must be a complete table"),
    ],
)
def test_a_damaged_table_is_unknown_and_hides_no_failure(tmp_path, capsys, text, reason):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "evaluations.csv").write_text(text)
    write_table(tmp_path / "good", evaluation(0, {"grad_cam/rcap": 0.5}))
    code, lines, _ = check(capsys, tmp_path, f"{RCAP_NAME} >= 0")
    assert code == 2
    assert lines[0].startswith("unknown bad: ")
    assert re.search(reason, lines[0])
    assert status(capsys, tmp_path, f"{RCAP_NAME} >= 0.6") == 1


@pytest.mark.parametrize(
    "words", ["", RCAP_NAME, ">= 0.3", f"{RCAP_NAME} > 0.3", f"{RCAP_NAME} >= much", f"{RCAP_NAME} worsens <= 10"]
)
def test_wrong_words_are_one_sentence(tmp_path, capsys, words):
    write_table(tmp_path, evaluation(0, {"grad_cam/rcap": 0.5}))
    code, lines, sentence = check(capsys, tmp_path, f"{RCAP_NAME} >= 0.9", words)
    assert (code, lines) == (2, [])
    assert sentence == (
        "`--gate` must be the name of a value followed by '>= x', '<= x', either followed by 'by k stderr', "
        f"or 'worsens <= x%', but got {words!r}.\n"
    )


def test_a_folder_without_runs_is_one_sentence(tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "missing"):
        code, lines, sentence = check(capsys, folder, f"{RCAP_NAME} >= 0.9")
        assert (code, lines) == (2, [])
        assert sentence.startswith("`LOGS` must be a folder with evaluations.csv or TensorBoard event files, but got")


def test_at_least_one_gate_and_a_stage_that_exists_are_needed(tmp_path, capsys):
    assert status(capsys, tmp_path) == 2
    assert status(capsys, tmp_path, f"{RCAP_NAME} >= 0", stage="train") == 2


def test_the_module_can_be_run(tmp_path):
    write_table(tmp_path / "line\nbreak é", evaluation(0, {"grad_cam/rcap": 0.5}))
    command = [sys.executable, "-m", "lightning_saliency", "check", str(tmp_path), "--gate", f"{RCAP_NAME} >= 0.6"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PYTHONIOENCODING": "ascii", "HOME": str(tmp_path)}
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == f"failed line break \\xe9 r1: {RCAP_NAME} is 0.5, required >= 0.6\n"
    assert done.stderr == ""
