"""One style for each method, the same in every chart, and what they mean."""

from collections.abc import Iterable, Mapping
from typing import Final

from lightning_saliency.report._html import Markup, element

COLOURS: Final = 8


def styles_of(methods: Iterable[str], controls: Iterable[str]) -> dict[str, str]:
    """Give methods colours, dotted when these are used up, and controls grey dashes."""
    drawn = {name: f"c{place % COLOURS} round{place // COLOURS}" for place, name in enumerate(methods)}
    return drawn | {name: f"control k{place}" for place, name in enumerate(controls)}


def legend(styles: Mapping[str, str], *, gate: bool) -> Markup:
    """Name the lines' styles, and the gate's marks."""
    stroke = element("path", d="M1 6h24", class_="line")
    items = [element("li", _swatch(stroke, style), name) for name, style in styles.items()]
    if gate:
        items += [
            element("li", _swatch(element("circle", cx=13, cy=6, r=3.5, class_="passed"), ""), "gate passed"),
            element("li", _swatch(element("path", d="M10 3l6 6m0-6l-6 6", class_="refused"), ""), "gate refused"),
        ]
    return element("ul", *items, class_="legend")


def _swatch(shape: Markup, style: str) -> Markup:
    return element("svg", element("g", shape, class_=style), viewBox="0 0 26 12", aria_hidden="true")
