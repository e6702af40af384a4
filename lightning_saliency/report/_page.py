"""The page: a section for each run."""

from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Final

from lightning_saliency.report._html import Markup, element
from lightning_saliency.report._log import Log
from lightning_saliency.report._run import run_section

# Whatever might slip through, a browser that keeps to this loads nothing and runs nothing.
POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(title: str, runs: Sequence[Log]) -> str:
    """Write one HTML page that needs nothing but itself."""
    style = resources.files("lightning_saliency.report").joinpath("report.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"Saliency report: {title}"),
        element("style", Markup(style)),
    )
    top = element("header", element("h1", "Saliency report"), element("p", title, class_="facts"))
    sections = [run_section(f"run-{place}", run) for place, run in enumerate(runs)]
    contents = [_contents(runs)] if len(runs) > 1 else []
    body = element("body", element("main", top, *contents, *sections))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _contents(runs: Iterable[Log]) -> Markup:
    links = [element("li", element("a", run.name, href=f"#run-{place}")) for place, run in enumerate(runs)]
    return element("nav", element("ul", *links), aria_label="Runs")
