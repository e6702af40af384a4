"""Markdown from a log, as HTML that can neither load, link nor run anything."""

from functools import cache
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markupsafe import Markup

# With these off no element has an address: the reader sees the source of links and pictures.
ADDRESSES: Final = ["link", "image", "autolink", "reference"]
# Headings of a text are smaller than those of the page.
HEADINGS: Final = {"h1": "h5", "h2": "h5", "h3": "h6", "h4": "h6"}


def markdown(text: str) -> Markup:
    """Render Markdown with elements that have no attributes; HTML, links and pictures stay text.

    Example:
        >>> print(markdown("**so** <script>alert(1)</script>").strip())
        <p><strong>so</strong> &lt;script&gt;alert(1)&lt;/script&gt;</p>
    """
    return Markup(_parser().render(text))


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable(ADDRESSES)
    parser.core.ruler.push("bare", _strip_attributes)
    return parser


def _strip_attributes(state: StateCore) -> None:
    for token in state.tokens:
        token.attrs, token.info = {}, ""
        token.tag = HEADINGS.get(token.tag, token.tag)
