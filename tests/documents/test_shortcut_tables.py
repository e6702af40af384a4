"""The tables of the alarm's benchmark are those of the rows in the repository."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_has_the_tables_of_the_rows(script):
    benchmark_tables = script("shortcuts/benchmark_tables")
    rows = benchmark_tables.read()
    page = (ROOT / "docs" / "shortcut-benchmark.md").read_text(encoding="utf-8")
    for table in (
        benchmark_tables.table_of_groups,
        benchmark_tables.table_of_falls,
        benchmark_tables.table_of_rivals,
        benchmark_tables.table_of_kinds,
    ):
        assert table(rows) in page
    assert benchmark_tables.sentence_of_all(rows) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_page_of_the_cure_has_the_tables_of_its_rows(script):
    cure_tables = script("shortcuts/cure_tables")
    rows = cure_tables.read()
    page = (ROOT / "docs" / "cure.md").read_text(encoding="utf-8")
    for table in (
        cure_tables.table_of_cells,
        cure_tables.table_of_digits,
        cure_tables.table_of_versions,
        cure_tables.table_of_shares,
        cure_tables.table_of_rivals,
        cure_tables.table_of_clean,
        cure_tables.sentence_of_identity,
        cure_tables.table_of_legitimate,
    ):
        assert table(rows) in page
    assert len({row["name"] for row in rows}) == len(rows) <= 250
