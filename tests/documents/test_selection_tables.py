"""The tables of the study of selection rules are those of the rows in the repository."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "examples" / "studies", ROOT / "examples" / "shortcuts")


def test_the_page_has_the_tables_of_the_rows(monkeypatch):
    for folder in FOLDERS:
        monkeypatch.syspath_prepend(str(folder))
    before = {*sys.modules}
    import selection_tables

    page = (ROOT / "docs" / "selection.md").read_text(encoding="utf-8")
    for text in selection_tables.texts(selection_tables.read()):
        assert text in page
    for name in {*sys.modules} - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent in FOLDERS:
            del sys.modules[name]
