"""The pages on selection rules have the figures of the rows in the repository."""

import pytest


@pytest.fixture
def page(script):
    return script("studies/selection_page")


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
