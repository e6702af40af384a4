"""The page of the metrics has the tables of the rows in the repository, and a rule that can be checked."""

from pathlib import Path

import pytest

from lightning_saliency.metrics import RCAP, Allegiance, Infidelity

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tables(script):
    return script("studies/metrics_tables")


@pytest.mark.parametrize("metric", [RCAP, Allegiance, Infidelity])
def test_a_docstring_has_the_row_of_its_metric(tables, metric):
    assert tables.in_words(tables.read(), metric().name) in " ".join(metric.__doc__.split())


def row(network, **values):
    usual = {"z_random": "5", "z_edges": "4", "order": "1", "z_redrawn": "3", "halves": "1", "forwards": "5"}
    return {"network": network, "metric": "rcap", "images": "9", **usual, **values}


def rows_of(tables, changes):
    rows = [row(name, **changes.get(place, {})) for place, name in enumerate(tables.NETWORKS)]
    return [*rows, {"network": "trainings", "metric": "rcap", "confidence": "0.3", **changes.get("trainings", {})}]


def test_the_page_has_the_tables_of_the_rows(tables):
    rows = tables.read()
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    for networks in (tables.NETWORKS, tables.others(rows)):
        assert tables.table_of_contrasts(rows, networks) in page
        assert tables.subjects(rows, networks) in page
    assert tables.table_of_stability(rows) in page
    assert tables.verdict(rows) in page
    confidence = tables.read(tables.CONFIDENCE)
    assert tables.table_of_confidence(confidence) in page
    assert tables.trainings(confidence) in page


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({}, True),
        ({3: {"z_edges": "2.9"}}, True),
        ({3: {"z_edges": "2.9"}, 4: {"z_random": "0"}}, False),
        ({3: {"order": "0.8"}}, False),
        ({"trainings": {"confidence": "0.31"}}, False),
    ],
)
def test_a_metric_passes_on_four_of_five_networks_in_order_and_free_of_confidence(tables, changes, passes):
    assert tables.passing(rows_of(tables, changes)) == ["rcap"] * passes


def test_other_networks_do_not_count(tables):
    rows = rows_of(tables, {3: {"z_edges": "2.9"}, 4: {"z_edges": "2.9"}})
    assert tables.wins([*rows, row("other")], "rcap") == 3
    assert not tables.passing([*rows, row("other")])
    assert tables.passing([*rows_of(tables, {}), row("other", z_edges="0", order="0")]) == ["rcap"]


def test_a_network_without_rows_leaves_open_what_could_still_pass(tables):
    complete = rows_of(tables, {3: {"z_edges": "0"}})
    assert tables.passing(complete) == ["rcap"]
    assert not tables.passing(complete[1:])
    assert tables.undecided_metrics(complete[1:]) == ["rcap"]
    assert "could pass" in tables.verdict(complete[1:])
    lost = rows_of(tables, {3: {"z_edges": "0"}, 2: {"z_edges": "0"}})
    assert not tables.undecided_metrics(lost[1:])
    assert not tables.undecided_metrics(lost)


def test_correlations_with_confidence_are_means_with_errors_over_trainings(tables):
    def row(training, metric, value):
        return {"network": training, "metric": metric, "epochs": "6", **dict.fromkeys(tables.WAYS, value)}

    rows = [row("one", "srg", "-0.2"), row("two", "srg", "0.6"), row("one", "rcap", "1"), row("two", "rcap", "1")]
    srg, rcap = tables.table_of_confidence(rows).splitlines()[2:]
    assert srg == "| `srg` " + "| 0.20 (0.40) " * 5 + "| 0.40 (0.20) |"
    assert rcap == "| `rcap` " + "| 1.00 (0.00) " * 6 + "|"
    assert tables.trainings(rows) == "2 trainings of 6 to 6 epochs"
