"""The pages on selection rules have the figures of the rows in the repository."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "examples" / "studies", ROOT / "examples" / "shortcuts")


@pytest.fixture(scope="module")
def page():
    before = {*sys.modules}
    with pytest.MonkeyPatch.context() as patch:
        for folder in FOLDERS:
            patch.syspath_prepend(str(folder))
        import selection_page

        yield selection_page
    for name in {*sys.modules} - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent in FOLDERS:
            del sys.modules[name]


def test_filling_in_the_figures_changes_nothing(page):
    texts = page.texts(page.read())
    for path in page.PAGES:
        text = path.read_text(encoding="utf-8")
        assert text.count("<!-- end -->") == len(page.MARKS.findall(text)) > 0
        assert page.filled(text, texts) == text


def test_parts_stand_between_their_marks(page):
    text = "before\n<!-- a b -->\n\nold\n\n<!-- end -->\nafter"
    assert page.filled(text, {"a b": "new"}) == text.replace("old", "new")


def test_rows_are_few_enough_to_be_kept(page):
    from selection_tables import TABLE

    assert len(TABLE.read_text(encoding="utf-8").splitlines()) <= 1500
