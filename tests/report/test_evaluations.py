"""The report takes from `evaluations.csv` what event files do not hold."""

import csv
import re

import pytest

from tests.report.logs import write
from tests.report.pages import chart_of, page_of

COLUMNS = ["schema", "stage", "run", "epoch", "step", "name", "value", "stderr", "num_images"]
LOGGED = {
    "epoch": {9: 0, 19: 1},
    "saliency/seconds": {9: 1.5, 19: 2.25},
    "saliency/grad/blank": {9: 0, 19: 0},
    "saliency/grad/rcap": {9: 0.3, 19: 0.4},
}


def evaluation(epoch, seconds, score, *, run="r1", stage="fit", name="saliency"):
    values = {"seconds": (seconds, ""), "grad/blank": (0.0, ""), "grad/rcap": (score, 0.05), "random/rcap": (0.1, 0.02)}
    return [
        [1, stage, run, epoch, 10 * epoch + 10, f"{name}/{key}", value, error, 6]
        for key, (value, error) in values.items()
    ]


def write_table(folder, *evaluations):
    with (folder / "evaluations.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *(row for rows in evaluations for row in rows)])


def texts(folder):
    """List what the points of the chart of RCAP say."""
    return [dot.findtext("title") for dot in chart_of(page_of(folder), "rcap").iterfind(".//circle")]


def test_errors_and_controls_come_from_the_table(tmp_path):
    write(tmp_path, LOGGED)
    assert texts(tmp_path) == ["grad, epoch 0: 0.300", "grad, epoch 1: 0.400"]
    write_table(tmp_path, evaluation(0, 1.5, 0.3), evaluation(1, 2.25, 0.4))
    assert texts(tmp_path) == [
        "grad, epoch 0: 0.300 ± 0.050",
        "grad, epoch 1: 0.400 ± 0.050",
        "random, epoch 0: 0.100 ± 0.020",
        "random, epoch 1: 0.100 ± 0.020",
    ]


def test_an_evaluation_is_known_by_its_duration_and_not_by_its_step(tmp_path):
    write(tmp_path, LOGGED)
    others = evaluation(0, 7.5, 0.9, run="r0"), evaluation(1, 8.5, 0.9, name="other")
    # Single precision is all that event files have.
    write_table(tmp_path, *others, evaluation(3, 2.25 + 1e-9, 0.4), evaluation(1, 1.5, 0.9, stage="test"))
    assert texts(tmp_path) == [
        "grad, epoch 0: 0.300",
        "grad, epoch 1: 0.400 ± 0.050",
        "random, epoch 1: 0.100 ± 0.020",
    ]


def test_an_error_in_event_files_stays(tmp_path):
    write(tmp_path, LOGGED | {"saliency/grad/rcap_stderr": {9: 0.01, 19: 0.02}})
    write_table(tmp_path, evaluation(0, 1.5, 0.3))
    assert texts(tmp_path)[:2] == ["grad, epoch 0: 0.300 ± 0.010", "grad, epoch 1: 0.400 ± 0.020"]


@pytest.mark.parametrize("damage", ["", "not,a,table\n", "\x00", "schema,stage\n1", "folder"])
def test_a_table_of_another_form_spoils_nothing(tmp_path, damage):
    write(tmp_path, LOGGED)
    if damage == "folder":
        (tmp_path / "evaluations.csv").mkdir()
    else:
        (tmp_path / "evaluations.csv").write_text(damage)
    assert texts(tmp_path) == ["grad, epoch 0: 0.300", "grad, epoch 1: 0.400"]
    assert not re.search("Traceback", page_of(tmp_path).text)
