"""The benchmark runs in small and writes its tables; durations are not looked at."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.members import METHODS, METRICS

BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"


def run(folder, *parts):
    """Run parts of the benchmark as small as possible, and return the tables that it writes."""
    command = [sys.executable, str(BENCHMARKS / "main.py"), "--quick", "--output", str(folder), "--only", *parts]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(BENCHMARKS.parents[1])}
    environment.pop("LIGHTNING_SALIENCY_DATA", None)
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr[-2000:]
    tables = json.loads((folder / "benchmark.json").read_text())
    markdown = (folder / "benchmark.md").read_text()
    assert tables
    for table in tables:
        assert f"## {table['title']}" in markdown
        assert f"## {table['title']}" in result.stdout
    return tables


def titled(tables, beginning):
    """Return the tables whose titles begin so."""
    return [table for table in tables if table["title"].startswith(beginning)]


def rows_of(table):
    return {row["work"]: row for row in table["rows"]}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Tables of the parts that need one process."""
    folder = tmp_path_factory.mktemp("bench")
    tables = run(folder, "methods", "metrics", "members", "accuracy", "monitor", "samples", "memory")
    with Image.open(folder / "benchmark.png") as picture:
        assert picture.width > 500
    return tables


@pytest.mark.long
def test_everything_is_compared_with_both_kinds_of_alternatives(tmp_path):
    tables = run(tmp_path, "everything", "classes")
    five_by_four = titled(tables, "Five methods and four metrics: ")
    assert len(five_by_four) == 3
    for rows in map(rows_of, five_by_four):
        for work in ("methods, libraries", "methods, naive", "metrics, authors", "metrics, naive"):
            assert float(rows[work]["results"].split(" by ")[1]) < 1e-3
        for work in ("explain + score", "explain + score, bf16"):
            assert rows[work]["libraries take"].endswith(" x")
            assert rows[work]["naive takes"].endswith(" x")
    (classes,) = titled(tables, "Active maps: ")
    assert set(classes["curves"]) == {"lightning_saliency", "naive", "as its authors"}
    assert [list(curve) for curve in classes["curves"].values()] == [["3.0", "6.0"]] * 3


def test_methods_are_compared_with_other_implementations_and_agree(tables):
    small, _ = titled(tables, "One method alone: ")
    rows = rows_of(small)
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
    (table,) = titled(tables, "One metric alone, one map: ")
    rows = rows_of(table)
    names = ("rcap: naive", "allegiance: naive", "infidelity: naive", "insertion: naive", "deletion: naive")
    authors = ("rcap: as its authors", "insertion: as its authors", "deletion: as its authors")
    for work in (*names, *authors, "infidelity, unscaled: captum"):
        assert float(rows[work]["results"].removeprefix("differ by ")) < 1e-3
    assert rows["rcap"]["forwards, backwards per image"] == "5, 0"
    assert rows["rcap: as its authors"]["forwards, backwards per image"] == "6, 0"


def test_every_method_and_metric_is_timed_on_both_networks(tables):
    for kind, kinds in (("method", METHODS), ("metric", METRICS)):
        both = titled(tables, f"Every {kind}: ")
        assert len(both) == 2
        for table in both:
            assert {row[kind] for row in table["rows"]} == {each.__name__ for each in kinds}
            for row in table["rows"]:
                has_passes = row["forwards, backwards per image"] != "0, 0"
                assert (float(row["x lower bound"].split()[0]) > 0) == has_passes
                assert float(row["ms per image"]) > 0


def test_curves_have_a_point_for_every_number(tables):
    (table,) = titled(tables, "SmoothGrad: ")
    assert set(table["curves"]) == {"lightning_saliency", "captum"}
    assert [list(curve) for curve in table["curves"].values()] == [["2.0", "4.0"]] * 2


def test_without_data_the_accuracy_is_left_out_with_a_note(tables):
    (table,) = titled(tables, "Error of scoring_precision=")
    assert table["rows"] == [{"": "left out: no data, see `--data-dir`"}]


def test_the_cost_of_the_monitor_is_counted_in_training_images(tables):
    (table,) = titled(tables, "One evaluation of the monitor, ")
    assert [row["monitor"] for row in table["rows"]] == [
        "default",
        "fast",
        "thorough",
        'scoring_precision="bf16"',
        "cues=()",
    ]
    for row in table["rows"]:
        assert float(row["training images that cost as much"].split()[0]) > 0
        assert row["of the epochs of CIFAR-10"].endswith("%")


def test_memory_is_counted_in_bytes_of_live_tensors(tables):
    (table,) = titled(tables, "Peak memory: ")
    peaks = {label: curve["2.0"] for label, curve in table["curves"].items()}
    assert set(peaks) == {"SmoothGrad", "captum IntegratedGradients"}
    # The batch of two images of 64 pixels alone is .09 MiB.
    assert all(0.09 < peak < 1000 for peak in peaks.values())
