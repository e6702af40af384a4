"""The tables of claims and methods are those of the rows in the repository, and verdicts follow from them."""

import pytest


@pytest.fixture
def tables(script):
    return script("studies/claims_tables")


def test_the_pages_have_the_tables_of_the_rows(tables):
    pages = "\n".join(path.read_text(encoding="utf-8") for path in tables.PAGES)
    for name, table in tables.texts().items():
        assert pages.count(f"<!-- {name} -->\n\n{table}\n") == 1, name


def test_filling_changes_a_table_and_nothing_else(tables):
    page = "before\n\n<!-- one -->\n\n| old |\n| --- |\n\nafter\n"
    page = tables.filled(page, {"one": "| new |\n| --- |\n| row |", "two": "| other |"})
    assert page == "before\n\n<!-- one -->\n\n| new |\n| --- |\n| row |\n\nafter\n"


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (3.0, "confirmed"),
        (2.5, "weakly confirmed"),
        (1.9, "not confirmed"),
        (-1.9, "not confirmed"),
        (-2.5, "**weakly contradicted**"),
        (-3.5, "**contradicted**"),
        (float("nan"), "not confirmed"),
    ],
)
def test_a_claim_is_confirmed_by_three_standard_errors(tables, ratio, verdict):
    assert tables.verdict(ratio) == verdict
