"""The studies of certainty and presets evaluate a small training with several settings, and keep what they have."""

import csv

import pytest


@pytest.fixture
def run(run_here, monkeypatch, tmp_path):
    """Run a study in small, with a store of its own; returns its rows as text and its summary."""
    monkeypatch.setenv("LIGHTNING_SALIENCY_STORE", str(tmp_path / "store"))
    table, summary = tmp_path / "rows.csv", tmp_path / "summary.csv"

    def run_study(name):
        run_here(f"studies/{name}", "--quick", "--rows", table, "--output", summary)
        return table.read_text(), list(csv.DictReader(summary.read_text().splitlines()))

    return run_study


def test_fewer_images_have_a_larger_error_and_what_has_rows_is_not_evaluated_again(run):
    rows, summary = run("certainty.py")
    by_name = {row["name"]: row for row in summary}
    assert float(by_name["16 images"]["cue_stderr"]) > float(by_name["default"]["cue_stderr"])
    agreement = [value for name, value in by_name["default"].items() if name.startswith("same_")]
    assert {*map(float, agreement)} == {1.0}
    assert all(0 <= float(row["same_all"]) <= 1 for row in summary)
    assert run("certainty.py")[0] == rows


def test_the_default_decides_like_itself_and_a_candidate_has_its_own_evaluations(run):
    rows, summary = run("presets.py")
    default, other = summary
    assert (default["candidate"], default["evaluations"]) == ("default", "2")
    assert float(default["same_gate"]) == float(default["same_state"]) == 1
    assert (other["every"], other["evaluations"]) == ("2", "1")
    assert 0 <= float(other["same_state"]) <= float(other["same_gate"]) <= 1
    assert run("presets.py")[0] == rows
