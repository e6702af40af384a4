"""Reads pages with the standard library."""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

from lightning_saliency.report import write_report


class Page(HTMLParser):
    """Elements, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    @property
    def text(self) -> str:
        """Everything that a reader sees."""
        return re.sub(r"\s+", " ", " ".join(self.texts))

    @property
    def headings(self) -> list[str]:
        """Titles of the parts of all runs."""
        return re.findall("<h3>(.*?)</h3>", self.source)

    def values(self, name: str) -> list[str]:
        """List the values of an attribute."""
        return [value for _, attribute, value in self.attributes if attribute == name]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "img", "input", "br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)


def page_of(log_dir: Path) -> Page:
    """Write the report of a folder and read it."""
    output = log_dir / "report.html"
    write_report(log_dir, output)
    page = Page(output.read_text(encoding="utf-8"))
    assert page.open == []
    return page


def chart_of(page: Page, title: str) -> ET.Element:
    """Return the chart of a title as a tree of elements."""
    figures = map(ET.fromstring, re.findall(r'<figure class="chart">.*?</figure>', page.source, re.DOTALL))
    (chart,) = (figure for figure in figures if figure.findtext("figcaption", "").strip() == title)
    return chart
