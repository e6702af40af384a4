"""The benchmark runs in small and writes what it should; how long anything takes is not looked at."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"


def run(folder, *parts):
    """Run parts of the benchmark as tiny as they come, and return the tables that it writes, by title."""
    command = [sys.executable, str(BENCHMARKS / "main.py"), "--quick", "--output", str(folder), "--only", *parts]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(BENCHMARKS.parents[1])}
    environment.pop("LIGHTNING_SALIENCY_DATA", None)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    tables = json.loads((folder / "benchmark.json").read_text())
    written = (folder / "benchmark.md").read_text()
    for table in tables:
        assert f"## {table['title']}" in written
        assert f"## {table['title']}" in done.stdout
    return {table["title"].split(":")[0]: table for table in reversed(tables)}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """What the parts write that need one process."""
    folder = tmp_path_factory.mktemp("bench")
    found = run(folder, "methods", "metrics", "accuracy", "monitor", "samples", "memory")
    with Image.open(folder / "benchmark.png") as picture:
        assert picture.width > 500
    return found


def test_everything_is_compared_with_both_kinds_of_alternatives(tmp_path):
    for title, table in run(tmp_path, "everything", "classes").items():
        if title == "Five methods and four metrics":
            rows = {row["work"]: row for row in table["rows"]}
            for work in ("methods, libraries", "methods, naive", "metrics, authors", "metrics, naive"):
                assert float(rows[work]["results"].split(" by ")[1]) < 1e-3
            for work in ("explain + score", "explain + score, auto"):
                assert rows[work]["libraries take"].endswith(" x")
                assert rows[work]["naive takes"].endswith(" x")


def test_methods_are_compared_with_their_like_and_agree(tables):
    rows = {row["work"]: row for row in tables["One method alone"]["rows"]}
    for work in (
        "gradient: captum",
        "grad_cam: pytorch-grad-cam",
        "smooth_grad: naive",
        "integrated_gradients: captum",
        "active_gradient: naive",
        "active_gradient: as its authors",
        "positive_gradient: as its authors",
    ):
        assert float(rows[work]["results"].removeprefix("differ by ")) < 1e-4
        assert rows[work]["ours takes"].endswith(" x")
    assert rows["smooth_grad: captum"]["results"] == "", "other noise cannot be compared"


def test_metrics_agree_with_the_papers_procedures(tables):
    rows = {row["work"]: row for row in tables["One metric alone, one map"]["rows"]}
    names = ("rcap: naive", "allegiance: naive", "infidelity: naive", "insertion: naive", "deletion: naive")
    authors = ("rcap: as its authors", "insertion: as its authors", "deletion: as its authors")
    for work in (*names, *authors, "infidelity, unscaled: captum"):
        assert float(rows[work]["results"].removeprefix("differ by ")) < 1e-3
    assert rows["rcap"]["forwards, backwards per image"] == "5, 0"
    assert rows["rcap: as its authors"]["forwards, backwards per image"] == "6, 0"


def test_curves_have_a_point_for_every_number(tables):
    assert {label: list(curve) for label, curve in tables["SmoothGrad"]["curves"].items()} == {
        "lightning_saliency": ["2.0", "4.0"],
        "captum": ["2.0", "4.0"],
    }


def test_what_needs_data_says_that_it_was_left_out(tables):
    (title,) = (name for name in tables if name.startswith("Error of"))
    assert "no data" in str(tables[title]["rows"])


def test_the_monitor_is_priced_in_training_images(tables):
    (title,) = (name for name in tables if name.startswith("One evaluation"))
    assert [row["monitor"] for row in tables[title]["rows"]] == ["default", 'scoring_precision="bf16"']
    assert all(row["of an epoch of CIFAR-10"].endswith("%") for row in tables[title]["rows"])


def test_memory_is_counted_in_bytes_of_live_tensors(tables):
    for curve in tables["Peak memory"]["curves"].values():
        assert all(0 < peak < 1000 for peak in curve.values())
