"""The studies of certainty and presets evaluate a small training with several settings, and keep what they have."""

import csv
import os
import subprocess
import sys
from pathlib import Path

STUDIES = Path(__file__).parents[2] / "examples" / "studies"


def run(name, folder):
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(STUDIES.parents[1]),
        "LIGHTNING_SALIENCY_STORE": str(folder / "store"),
    }
    command = [sys.executable, str(STUDIES / name), "--quick", "--rows", "rows.csv", "--output", "summary.csv"]
    process = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    assert process.returncode == 0, process.stderr[-2000:]
    summary = csv.DictReader((folder / "summary.csv").read_text().splitlines())
    return (folder / "rows.csv").read_text(), list(summary)


def test_fewer_images_have_a_larger_error_and_what_has_rows_is_not_evaluated_again(tmp_path):
    rows, summary = run("certainty.py", tmp_path)
    by_name = {row["name"]: row for row in summary}
    assert float(by_name["16 images"]["cue_stderr"]) > float(by_name["default"]["cue_stderr"])
    agreement = [value for name, value in by_name["default"].items() if name.startswith("same_")]
    assert {*map(float, agreement)} == {1.0}
    assert all(0 <= float(row["same_all"]) <= 1 for row in summary)
    assert run("certainty.py", tmp_path)[0] == rows


def test_the_default_decides_like_itself_and_a_candidate_has_its_own_evaluations(tmp_path):
    rows, summary = run("presets.py", tmp_path)
    default, other = summary
    assert (default["candidate"], default["evaluations"]) == ("default", "2")
    assert float(default["same_gate"]) == float(default["same_state"]) == 1
    assert (other["every"], other["evaluations"]) == ("2", "1")
    assert 0 <= float(other["same_state"]) <= float(other["same_gate"]) <= 1
    assert run("presets.py", tmp_path)[0] == rows
