"""The page on the papers' claims has the tables of the rows, whose directions come from the plan and the first half."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tables(script):
    return script("studies/papers_tables")


def row(tables, name, values, *, half="second", network=None, question="order", score="rcap"):
    place = {"network": network or tables.LITE0, "half": half, "question": question}
    return {**place, "score": score, "map": name, "values": " ".join(map(str, values))}


def claim(tables, source, score="rcap", question="order"):
    return tables.Claim(question, score, "grad_cam", "edges", source)


def test_the_page_has_the_tables_of_the_rows(tables):
    page = (ROOT / "docs" / "papers-on-real-images.md").read_text(encoding="utf-8")
    for text in tables.texts(tables.read()).values():
        assert text in page


def test_a_difference_is_paired_and_has_the_standard_error_of_its_mean(tables):
    rows = [row(tables, "grad_cam", [0.5, 0.9, 0.4]), row(tables, "edges", [0.4, 0.7, 0.1])]
    gaps = tables.gap(rows, claim(tables, "paper"), tables.LITE0, "second")
    assert gaps.mean == pytest.approx(0.2)
    assert gaps.stderr == pytest.approx(0.1 / 3**0.5)
    assert gaps.z == pytest.approx(2 * 3**0.5)
    assert tables.verdict(gaps) == "holds"
    assert tables.verdict(gaps._replace(mean=-0.2)) == "refuted"
    assert tables.verdict(gaps._replace(mean=0.1)) == "open"


def test_of_scores_that_should_be_low_the_lower_one_is_better(tables):
    low = {"question": "layers", "score": "deletion"}
    rows = [row(tables, "grad_cam", [0.1, 0.2], **low), row(tables, "edges", [0.3, 0.5], **low)]
    assert tables.gap(rows, claim(tables, "paper", **low), tables.LITE0, "second").mean == pytest.approx(0.25)


def test_where_no_paper_gives_a_direction_the_first_half_does_and_the_second_one_cannot(tables):
    rows = [
        row(tables, "grad_cam", [0.1, 0.1], half="first"),
        row(tables, "edges", [0.2, 0.3], half="first"),
        row(tables, "grad_cam", [0.8, 0.9]),
        row(tables, "edges", [0.1, 0.4]),
    ]
    turned = tables.directed(rows, claim(tables, "first half"))
    assert (turned.better, turned.worse) == ("edges", "grad_cam")
    assert tables.gap(rows, turned, tables.LITE0, "second").mean < 0
    assert tables.directed(rows, claim(tables, "paper")).better == "grad_cam"
    assert tables.directed(rows[2:], claim(tables, "first half")) is None


def test_a_page_is_filled_between_its_marks_only(tables):
    page = "Before\n\n<!-- sizes -->\n\nold\n\n<!-- end -->\n\nAfter\n"
    assert tables.filled(page, {"sizes": "new"}) == page.replace("old", "new")
    assert tables.filled(page, {"summary": "new"}) == page
