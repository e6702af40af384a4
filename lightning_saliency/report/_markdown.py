"""Markdown from a log, as HTML that can neither load, link nor run anything."""

from html.parser import HTMLParser
from typing import Final

from tensorboard.plugin_util import markdown_to_safe_html

from lightning_saliency.report._html import VOID, Markup, element, joined

TABLE: Final = frozenset({"table", "thead", "tbody", "tr", "th", "td"})
KEPT: Final = TABLE | {"p", "ul", "ol", "li", "pre", "code", "blockquote", "strong", "em", "hr", "br", "h5", "h6"}
# Headings of a text stand below those of the page.
RENAMED: Final = {"h1": "h5", "h2": "h5", "h3": "h6", "h4": "h6"}


def markdown(text: str) -> Markup:
    """Render Markdown with elements that have no attributes; links show their address, pictures their description.

    Example:
        >>> markdown("**so** <script>alert(1)</script>")
        '<p><strong>so</strong> &lt;script&gt;alert(1)&lt;/script&gt;</p>'
    """
    bare = _Bare()
    try:
        bare.feed(markdown_to_safe_html(text.replace("\0", "")))
    # Thousands of nested quotations or lists.
    except RecursionError:
        return element("pre", text)
    bare.close()
    return joined(bare.parts)


class _Bare(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        tag = RENAMED.get(tag, tag)
        if tag in KEPT:
            self.parts.append(Markup(f"<{tag}>"))
        elif tag == "a":
            self.addresses.append(given.get("href") or "")
        elif tag == "img":
            self.parts.append(given.get("alt") or "")

    def handle_endtag(self, tag: str) -> None:
        tag = RENAMED.get(tag, tag)
        if tag in KEPT - VOID:
            self.parts.append(Markup(f"</{tag}>"))
        elif tag == "a" and self.addresses and (address := self.addresses.pop()):
            self.parts.append(f" ({address})")

    def handle_data(self, data: str) -> None:
        self.parts.append(data)
