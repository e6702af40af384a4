"""Pictures of several evaluations in one place, to be stepped through without a script."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Final

from lightning_saliency.report._clock import Clock
from lightning_saliency.report._html import Markup, element, joined
from lightning_saliency.report._log import Pictures

MOST: Final = 20


def stepper(key: str, title: str, pictures: Mapping[str, Pictures], clock: Clock) -> Markup:
    """Show the last evaluation's pictures, with a switch for each earlier one.

    Args:
        key: Distinguishes this stepper from all others of the page.
        title: What the pictures show.
        pictures: Pictures by caption and step.
        clock: When steps were.
    """
    steps = sorted({step for found in pictures.values() for step in found})
    shown = _spread(steps)
    counted = clock.counted(steps)
    axis = clock.axis(counted.values())
    frames = []
    for place, step in enumerate(shown):
        label = axis.label(counted[step])
        inside = [_figure(title, caption, label, found[step]) for caption, found in pictures.items() if step in found]
        last = step == shown[-1]
        choice = element("input", type="radio", name=key, id=f"{key}-{place}", checked=last)
        button = element("label", str(axis.places[counted[step]]), for_=f"{key}-{place}", title=label)
        frames.append(joined([choice, button, element("div", *inside, class_="frame")]))
    fewer = f" ({len(shown)} of {len(steps)} evaluations)" if len(shown) < len(steps) else ""
    unit = element("span", f"{axis.unit}{fewer}", class_="unit")
    return element("fieldset", element("legend", title), unit, *frames, class_="stepper")


def _spread(steps: list[int]) -> list[int]:
    """Pick at most `MOST` steps at even distances, the first and the last included."""
    if len(steps) <= MOST:
        return steps
    return [steps[round(place * (len(steps) - 1) / (MOST - 1))] for place in range(MOST)]


def _figure(title: str, caption: str, label: str, picture: bytes) -> Markup:
    source = f"data:image/png;base64,{b64encode(picture).decode()}"
    image = element("img", src=source, alt=f"{title}, {caption}, {label}")
    return element("figure", element("figcaption", caption), image) if caption else element("figure", image)
