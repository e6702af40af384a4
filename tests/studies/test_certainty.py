"""The study of certainty evaluates a small training with several settings, and keeps what it has."""

import csv
import os
import subprocess
import sys
from pathlib import Path

STUDY = Path(__file__).parents[2] / "examples" / "studies" / "certainty.py"


def run(folder):
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(STUDY.parents[2]),
        "LIGHTNING_SALIENCY_STORE": str(folder / "store"),
    }
    command = [sys.executable, str(STUDY), "--quick", "--rows", "rows.csv", "--output", "summary.csv"]
    process = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    assert process.returncode == 0, process.stderr[-2000:]
    summary = csv.DictReader((folder / "summary.csv").read_text().splitlines())
    return (folder / "rows.csv").read_text(), list(summary)


def test_fewer_images_have_a_larger_error_and_what_has_rows_is_not_evaluated_again(tmp_path):
    rows, summary = run(tmp_path)
    by_name = {row["name"]: row for row in summary}
    assert float(by_name["16 images"]["cue_stderr"]) > float(by_name["default"]["cue_stderr"])
    agreement = [value for name, value in by_name["default"].items() if name.startswith("same_")]
    assert {*map(float, agreement)} == {1.0}
    assert all(0 <= float(row["same_all"]) <= 1 for row in summary)
    assert run(tmp_path)[0] == rows
