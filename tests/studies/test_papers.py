"""The study of the papers' claims scores all maps in small, and continues where it was interrupted."""

import csv
import os
import subprocess
import sys
from pathlib import Path

STUDIES = Path(__file__).parents[2] / "examples" / "studies"


def run(table, *options):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(STUDIES.parents[1])}
    environment.pop("LIGHTNING_SALIENCY_DATA", None)
    command = [sys.executable, str(STUDIES / "papers.py"), "--quick", "--output", str(table), *options]
    process = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert process.returncode == 0, process.stderr[-2000:]
    return process.stdout.splitlines()


def test_every_map_of_a_claim_has_a_score_for_every_image_and_nothing_is_scored_twice(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(STUDIES))
    import papers_plan

    table = tmp_path / "table.csv"
    first = run(table, "--only", "second, order")
    assert len(first) == 1
    assert len(run(table)) == 9
    with table.open() as file:
        rows = {(row["half"], row["question"], row["score"], row["map"]): row for row in csv.DictReader(file)}
    for claim in papers_plan.claims():
        question = "order" if claim.question == "percentiles" else claim.question
        for half in (papers_plan.FIRST, papers_plan.SECOND):
            for name in (claim.better, claim.worse):
                values = [float(value) for value in rows[half, question, claim.score, name]["values"].split()]
                assert len(values) == 4
                assert all(abs(value) < float("inf") for value in values)
    del sys.modules["papers_plan"]


def test_the_mark_is_where_expected_relevance_and_the_random_map_differ(tmp_path):
    table = tmp_path / "table.csv"
    run(table, "--only", "second, watermark")
    with table.open() as file:
        rows = {(row["score"], row["map"]): [*map(float, row["values"].split())] for row in csv.DictReader(file)}
    share = 9 / 64
    assert all(abs(value - share) < 0.15 for value in rows["relevance in the box", "random"])
    hidden = rows["relevance in the box", "expected_gradients, marked references"]
    assert max(hidden) < 1e-6
    assert min(rows["relevance in the box", "expected_gradients"]) > 0
