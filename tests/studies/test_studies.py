"""Every study runs in small and writes its table."""

import csv

import pytest


def rows_of(table):
    with table.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["claims.py", "discrimination.py"])
def test_a_study_writes_a_table_without_data(run_here, monkeypatch, name, tmp_path):
    monkeypatch.delenv("LIGHTNING_SALIENCY_DATA", raising=False)
    table = tmp_path / "table.csv"
    printed = run_here(f"studies/{name}", "--quick", "--output", table)
    rows = rows_of(table)
    assert rows
    assert len(rows) == len(printed.splitlines())
    assert len({row["claim"] for row in rows}) > 3
    for row in rows:
        assert row["higher"] != row["lower"]
        assert float(row["stderr"]) >= 0
        assert abs(float(row["difference"])) < float("inf")


@pytest.mark.parametrize("name", ["claims.py", "discrimination.py"])
def test_a_study_without_data_says_what_it_needs(run_here, monkeypatch, capsys, name, tmp_path):
    monkeypatch.delenv("LIGHTNING_SALIENCY_DATA", raising=False)
    with pytest.raises(SystemExit) as stopped:
        run_here(f"studies/{name}", "--output", tmp_path / "table.csv")
    assert stopped.value.code == 2
    assert "`--data-dir`" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_study_of_completeness_keeps_the_rows_that_it_has(run_here, monkeypatch, tmp_path):
    monkeypatch.delenv("LIGHTNING_SALIENCY_DATA", raising=False)
    table = tmp_path / "rows.csv"
    run_here("studies/completeness.py", "--quick", "--rows", table)
    written = table.read_text()
    rows = rows_of(table)
    assert len(rows) == len({(row["image"], row["method"], row["steps"]) for row in rows}) == 2 * 2 * 2
    for row in rows:
        assert 0 <= float(row["gap"]) < float("inf")
        assert float(row["missing"]) >= 0
    run_here("studies/completeness.py", "--quick", "--rows", table)
    assert table.read_text() == written


def test_the_study_of_metrics_compares_all_of_them_on_a_network_that_is_trained_in_small(
    run_here, monkeypatch, tmp_path
):
    monkeypatch.setenv("LIGHTNING_SALIENCY_STORE", str(tmp_path / "store"))
    table = tmp_path / "table.csv"
    assert run_here("studies/metrics.py", "--quick", "--output", table)
    rows = rows_of(table)
    assert {"rcap", "srg", "srg_intact", "insertion_intact", "infidelity"} <= {row["metric"] for row in rows}
    for row in rows:
        assert abs(float(row["z_random"])) < float("inf")
        assert -1 <= float(row["order"]) <= 1
    passes = {row["metric"]: float(row["forwards"]) for row in rows}
    assert passes["srg"] == 2 * 9 + 2
    assert run_here("studies/metrics.py", "--quick", "--output", table) == ""


def test_the_study_of_confidence_scores_maps_in_several_ways_over_the_epochs(run_here, monkeypatch, tmp_path):
    monkeypatch.setenv("LIGHTNING_SALIENCY_STORE", str(tmp_path / "store"))
    table = tmp_path / "table.csv"
    assert run_here("studies/confidence.py", "--quick", "--output", table)
    rows = rows_of(table)
    assert {"rcap", "srg", "srg_intact", "insertion_intact", "infidelity"} <= {row["metric"] for row in rows}
    for row in rows:
        # Two epochs are in order, in the opposite order, or equal.
        assert {float(row[way]) for way in ("score", "random_map", "over_random", "over_edges", "by_last")} <= {
            -1,
            0,
            1,
        }
    assert run_here("studies/confidence.py", "--quick", "--output", table) == ""
