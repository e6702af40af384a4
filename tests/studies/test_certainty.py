"""The study of certainty evaluates a small training with several settings, and keeps what it has."""

import csv


def test_fewer_images_have_a_larger_error_and_what_has_rows_is_not_evaluated_again(run_here, monkeypatch, tmp_path):
    monkeypatch.setenv("LIGHTNING_SALIENCY_STORE", str(tmp_path / "store"))
    table, summary = tmp_path / "rows.csv", tmp_path / "summary.csv"
    run_here("studies/certainty.py", "--quick", "--rows", table, "--output", summary)
    rows, settings = table.read_text(), list(csv.DictReader(summary.read_text().splitlines()))
    by_name = {row["name"]: row for row in settings}
    assert float(by_name["16 images"]["cue_stderr"]) > float(by_name["default"]["cue_stderr"])
    agreement = [value for name, value in by_name["default"].items() if name.startswith("same_")]
    assert {*map(float, agreement)} == {1.0}
    assert all(0 <= float(row["same_all"]) <= 1 for row in settings)
    run_here("studies/certainty.py", "--quick", "--rows", table, "--output", summary)
    assert table.read_text() == rows
