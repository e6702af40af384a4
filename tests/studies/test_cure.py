"""Swapping cues brings accuracy back that a shortcut costs, and the study of it writes a row for each training."""

import csv
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "shortcuts"


@pytest.fixture
def study(monkeypatch, tmp_path):
    """Return a function that runs the study and returns its rows."""
    monkeypatch.syspath_prepend(str(FOLDER))
    table = tmp_path / "cure.csv"
    before = {*sys.modules}

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["cure.py", *map(str, arguments), "--output", str(table)])
        runpy.run_path(str(FOLDER / "cure.py"), run_name="__main__")
        with table.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    yield run
    for name in {*sys.modules} - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == FOLDER:
            del sys.modules[name]


@pytest.mark.filterwarnings("ignore:SaliencyMonitor")
def test_most_of_the_accuracy_comes_back(study):
    rows = study("--quick")
    assert [row["condition"] for row in rows] == ["plain", "named", "all", "alarm", "bound"]
    plain, named, every, alarm, bound = (float(row["decoupled"]) for row in rows)
    assert plain < 0.3
    assert bound > 0.9
    for cured, share in ((named, 0.9), (every, 0.6), (alarm, 0.8)):
        assert (cured - plain) / (bound - plain) > share
    assert rows[3]["after_alarm"] == "wide_frame:1"


@pytest.mark.filterwarnings("ignore:SaliencyMonitor")
def test_a_swap_harms_where_the_cue_is_the_class(study):
    arguments = ("--legitimate", "--kinds", "level", "--seeds", 2, "--epochs", 4, "--conditions", "plain", "named")
    plain, named = (float(row["validation"]) for row in study(*arguments))
    assert plain > named + 0.3


def test_rows_that_are_there_are_kept(study, capsys):
    arguments = ("--kinds", "place", "--seeds", 1, "--epochs", 1, "--conditions")
    (first,) = study(*arguments, "plain")
    rows = study(*arguments, "plain", "named")
    assert rows[0] == first, "with its seconds"
    assert [row["condition"] for row in rows] == ["plain", "named"]
    assert capsys.readouterr().out.count("-plain: decoupled") == 1


def test_the_cost_is_told_before(study, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["cure.py", "--plan", "--seeds", "1", "2", "3"])
    runpy.run_path(str(FOLDER / "cure.py"), run_name="__main__")
    assert "75 trainings" in capsys.readouterr().out
