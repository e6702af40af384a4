"""The tables of the page on certainty are those of the rows in the repository."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_has_the_tables_of_the_rows(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "studies"))
    import certainty_tables

    rows = certainty_tables.read()
    page = (ROOT / "docs" / "certainty.md").read_text(encoding="utf-8")
    for part in ("choice", "report"):
        assert certainty_tables.table_of_settings(rows, part) in page
    sys.modules.pop("certainty_tables", None)
