"""The page of the metrics has the table of the rows in the repository, and a rule that can be checked."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "studies"


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import metrics_tables

    yield metrics_tables
    del sys.modules["metrics_tables"]


def row(network, **values):
    usual = {"z_random": "5", "z_edges": "4", "order": "1", "z_redrawn": "3", "halves": "1", "forwards": "5"}
    return {"network": network, "metric": "rcap", "images": "9", **usual, **values}


def test_the_page_has_the_table_of_the_rows(tables):
    rows = tables.read()
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    for text in (tables.table(rows), tables.subjects(rows), tables.verdict(rows)):
        assert text in page


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({}, True),
        ({"d": {"z_edges": "2.9"}}, True),
        ({"d": {"z_edges": "2.9"}, "e": {"z_random": "0"}}, False),
        ({"d": {"order": "0.8"}}, False),
        ({"trainings": {"confidence": "0.31"}}, False),
    ],
)
def test_a_metric_passes_on_four_of_five_networks_in_order_and_free_of_confidence(tables, changes, passes):
    rows = [row(name, **changes.get(name, {})) for name in "abcde"]
    rows.append({"network": "trainings", "metric": "rcap", "confidence": "0.3", **changes.get("trainings", {})})
    assert tables.passing(rows) == ["rcap"] * passes
