"""The page: a comparison of the runs, and a section for each."""

from collections.abc import Sequence
from importlib import resources
from typing import Final

from markupsafe import Markup

from lightning_saliency.report._comparison import comparison
from lightning_saliency.report._log import Log
from lightning_saliency.report._pictures import Room
from lightning_saliency.report._run import section_of
from lightning_saliency.report._templates import render

# A second barrier: a browser that follows this policy loads nothing and runs nothing.
POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(title: str, runs: Sequence[Log], notes: Sequence[str] = ()) -> tuple[str, list[str]]:
    """Write one HTML page that needs no other file, and list what had no room on it.

    Args:
        title: Title of the page.
        runs: The runs.
        notes: Sentences at the top of the page.
    """
    style = resources.files("lightning_saliency.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    room = Room.of(runs)
    sections = [section_of(run, room) for run in runs]
    left_out = room.left_out.sentences
    text = render(
        "page.html",
        title=title,
        policy=POLICY,
        style=Markup(style),
        notes=[*notes, *left_out],
        sections=sections,
        comparison=comparison(runs),
    )
    return text, left_out
