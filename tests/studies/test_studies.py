"""Every study runs in small and writes its table."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "examples" / "studies"


@pytest.mark.parametrize("name", ["claims.py", "discrimination.py"])
def test_a_study_writes_a_table_without_data(name, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(STUDIES.parents[1])}
    environment.pop("LIGHTNING_SALIENCY_DATA", None)
    table = tmp_path / "table.csv"
    command = [sys.executable, str(STUDIES / name), "--quick", "--output", str(table)]
    process = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert process.returncode == 0, process.stderr[-2000:]
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert len(rows) == len(process.stdout.splitlines())
    assert len({row["claim"] for row in rows}) > 3
    for row in rows:
        assert row["higher"] != row["lower"]
        assert float(row["stderr"]) >= 0
        assert abs(float(row["difference"])) < float("inf")


def test_a_study_without_data_says_what_it_needs(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(STUDIES.parents[1])}
    environment.pop("LIGHTNING_SALIENCY_DATA", None)
    command = [sys.executable, str(STUDIES / "claims.py"), "--output", str(tmp_path / "table.csv")]
    process = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert process.returncode == 2
    assert "`--data-dir`" in process.stderr
    assert not list(tmp_path.iterdir())


def test_the_study_of_metrics_compares_all_of_them_on_a_network_that_is_trained_in_small(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(STUDIES.parents[1])}
    environment |= {"LIGHTNING_SALIENCY_STORE": str(tmp_path / "store")}
    table = tmp_path / "table.csv"
    command = [sys.executable, str(STUDIES / "metrics.py"), "--quick", "--output", str(table)]
    process = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert process.returncode == 0, process.stderr[-2000:]
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert {"rcap", "srg", "srg_intact", "insertion_intact", "infidelity"} <= {row["metric"] for row in rows}
    for row in rows:
        assert abs(float(row["z_random"])) < float("inf")
        assert -1 <= float(row["order"]) <= 1
    passes = {row["metric"]: float(row["forwards"]) for row in rows}
    assert passes["srg"] == 2 * 9 + 2
    again = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert again.stdout == ""
