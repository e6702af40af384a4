"""Nothing that a log says is more than text in the page."""

import time

import pytest

from tests.report.logs import write_log
from tests.report.pages import Page, page_of

SCRIPT = "<script>alert(1)</script>"
PICTURE = "<img src=x onerror=alert(1)>"
QUOTES = "\"onload=\"alert(1)\" 'onload='alert(1)'"
WEB = "![p](http://evil.example/p.png) <img src='//evil.example'> [l](javascript:alert(1)) [m](https://evil.example/m)"
CARD = f"# {SCRIPT}\n\n{PICTURE} {WEB}\n\n| {SCRIPT} |\n| --- |\n| </td></table></div></details> {PICTURE} |"


def write_hostile_log(tmp_path):
    write_log(
        tmp_path / "<script>alert(1)<script>" / QUOTES,
        name=f"{QUOTES}{PICTURE}",
        methods=(SCRIPT, "grad_cam"),
        metric=QUOTES,
        place=f"image_{PICTURE}",
        card=CARD,
        reason=f"{SCRIPT} {PICTURE} {WEB} {{}}",
        settings={SCRIPT: PICTURE, QUOTES: SCRIPT},
    )


def test_a_hostile_log_adds_no_element_and_no_attribute(tmp_path):
    write_hostile_log(tmp_path / "hostile")
    write_log(
        tmp_path / "plain" / "run", settings={"a": 1, "b": 2}, card="# A\n\nB\n\n| A |\n| --- |\n| B |", reason="{}"
    )
    hostile, plain = page_of(tmp_path / "hostile"), page_of(tmp_path / "plain")
    assert hostile.tags == plain.tags
    assert "script" not in hostile.tags
    assert {name for _, name, _ in hostile.attributes} == {name for _, name, _ in plain.attributes}


def test_a_hostile_log_is_seen_as_it_was_written(tmp_path):
    write_hostile_log(tmp_path)
    text = page_of(tmp_path).text
    for written in (SCRIPT, QUOTES, f"image_{PICTURE}", "<script>alert(1)<script>"):
        assert written in text


def test_nothing_is_loaded_and_nothing_outside_is_linked(tmp_path):
    write_hostile_log(tmp_path)
    page = page_of(tmp_path)
    assert all(value.startswith("data:image/png;base64,") for value in page.values("src"))
    assert page.values("href") == []
    assert "url(" not in page.source
    assert "@import" not in page.source
    assert "(https://evil.example/m)" in page.text


def test_even_a_browser_that_found_a_script_would_be_told_not_to_run_it(tmp_path):
    write_log(tmp_path)
    (policy,) = (value for value in page_of(tmp_path).values("content") if "default-src" in value)
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def card_of(folder, text):
    """Write a card, and read it in the page."""
    write_log(folder, card=text, epochs=1)
    _, _, rest = page_of(folder).source.partition('<div class="card wide">')
    inside, _, _ = rest.partition("</div></details>")
    return Page(inside)


def test_cards_keep_tables_and_have_no_attributes(tmp_path):
    card = card_of(tmp_path, "| a | b |\n| --- | :-: |\n| `c` | **d** |\n\n7. e\n\n```js\nf\n```")
    elements = {"table": 1, "thead": 1, "tbody": 1, "tr": 2, "th": 2, "td": 2, "code": 2, "strong": 1}
    assert card.tags == elements | {"ol": 1, "li": 1, "pre": 1}
    assert card.attributes == []


def test_html_links_and_pictures_in_cards_stay_text(tmp_path):
    card = card_of(tmp_path, f"{SCRIPT}\n\n{PICTURE} {WEB} <https://evil.example>\n\n[r]: https://evil.example/r")
    assert card.tags.keys() == {"p"}
    for text in (SCRIPT, PICTURE, "[m](https://evil.example/m)", "<https://evil.example>", "[r]: https"):
        assert text in card.text


def test_headings_of_cards_are_smaller_than_those_of_the_page(tmp_path):
    assert card_of(tmp_path, "# a\n\n## b\n\n### c\n\nd\n===").tags == {"h5": 3, "h6": 1}


HOSTILE = {
    "quotations": "> " * 3000 + "deep",
    "lists": "- " * 3000 + "deep",
    "elements": "<p>" * 3000,
    "null": "\0 nothing",
    "comments": "<!-- <b> --> <![CDATA[ <b> ]]>",
    "brackets": "[" * 20_000,
    "pictures": "![" * 20_000,
    "emphasis": "*a_" * 7_000,
    "codes": "".join("`" * count + "a" for count in range(200)),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_card_becomes_a_complete_page_in_little_time(tmp_path, kind):
    start = time.process_time()
    assert card_of(tmp_path, HOSTILE[kind]).open == []
    assert time.process_time() - start < 10
