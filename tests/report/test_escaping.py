"""Nothing that a log says is more than text in the page."""

import pytest

from lightning_saliency.report._html import Markup, element
from lightning_saliency.report._markdown import markdown
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


def test_text_is_escaped_and_markup_is_not():
    assert element("b", "<i>", Markup("<i></i>"), title='"&') == '<b title="&quot;&amp;">&lt;i&gt;<i></i></b>'


def test_markdown_keeps_tables_and_drops_attributes():
    page = Page(markdown("| a | b |\n| --- | :-: |\n| `c` | **d** |\n\n<p class=x style='color:red'>e</p>"))
    assert page.tags == {"table": 1, "thead": 1, "tbody": 1, "tr": 2, "th": 2, "td": 2, "code": 1, "strong": 1, "p": 1}
    assert page.attributes == []


@pytest.mark.parametrize("text", ["> " * 3000 + "deep", "<p>" * 3000, "\0 nothing", "<!-- <b> --> <![CDATA[ <b> ]]>"])
def test_markdown_of_any_kind_becomes_a_whole_page(text):
    assert Page(markdown(text)).open == []
