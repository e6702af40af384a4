"""The page on methods has the table on completeness of the rows in the repository."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_has_the_table_of_the_rows(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "studies"))
    import completeness_tables

    rows = completeness_tables.read()
    assert len({row["image"] for row in rows}) == 10
    assert completeness_tables.table(rows) in (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    sys.modules.pop("completeness_tables", None)
