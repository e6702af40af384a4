"""The page on costs has the tables of the rows in the repository, and says why some members take longer."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_has_the_tables_and_names_what_takes_longer(script):
    members_tables = script("benchmarks/members_tables")
    rows = members_tables.read()
    page = (ROOT / "docs" / "costs.md").read_text(encoding="utf-8")
    for kind in ("method", "metric"):
        assert members_tables.table(rows, kind) in page
    explained = page.split("| metric | forwards, backwards")[1].split("\n\n", 1)[1].split("\n## ")[0]
    for member in members_tables.above(rows):
        assert f"`{member}`" in explained
