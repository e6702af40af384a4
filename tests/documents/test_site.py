"""The site that `make docs` has built: complete, without other hosts, and readable in a browser."""

import functools
import inspect
import json
import re
import threading
import tomllib
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from lightning_saliency import methods, metrics
from lightning_saliency.extend import ExplanationMetric, SaliencyMethod
from tests.browser import browser, wait_until
from tests.test_public_api import PUBLIC

ROOT = Path(__file__).parents[2]
SITE = ROOT / "site"
MEMBERS = {
    "methods": [cls for cls in vars(methods).values() if inspect.isclass(cls) and issubclass(cls, SaliencyMethod)],
    "metrics": [cls for cls in vars(metrics).values() if inspect.isclass(cls) and issubclass(cls, ExplanationMetric)],
}
KEYS = {
    kind: {cls.__name__: cls.name for cls in members if isinstance(getattr(cls, "name", None), str)}
    for kind, members in MEMBERS.items()
}
CASES = [(kind, title, key) for kind, members in KEYS.items() for title, key in sorted(members.items())]


@pytest.fixture(scope="module")
def pages():
    """The HTML of all pages by path."""
    if not SITE.is_dir():
        pytest.skip("needs the site that `make docs` builds")
    return {path.relative_to(SITE).as_posix(): path.read_text(encoding="utf-8") for path in SITE.rglob("*.html")}


def test_every_page_is_in_the_navigation():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = {page for section in config["nav"] for entries in section.values() for page in entries}
    assert {path.name for path in (ROOT / "docs").glob("*.md")} <= listed


@pytest.mark.parametrize("kind", KEYS)
def test_every_member_has_a_formula_and_says_its_limits(kind):
    texts = tomllib.loads((ROOT / "website" / "members.toml").read_text(encoding="utf-8"))[kind]
    assert texts.pop("notation")
    assert texts.keys() == KEYS[kind].keys()
    assert all(text.keys() == {"formula", "says", "not"} for text in texts.values())


@pytest.mark.parametrize(("kind", "title", "key"), CASES)
def test_a_member_has_a_page_with_formula_picture_and_reference(pages, kind, title, key):
    page = pages[f"{kind}/{key}/index.html"]
    assert "<math" in page
    assert f'id="lightning_saliency.{kind}.{title}"' in page
    assert (SITE / "pictures" / kind / f"{key}.png").stat().st_size > 1000


@pytest.mark.parametrize("module", [module for module, names in PUBLIC.items() if names])
def test_public_names_are_documented(pages, module):
    everything = "".join(text for path, text in pages.items() if path.split("/")[0] in ("reference", *KEYS))
    names = set(PUBLIC[module].split()) - {"cues", "methods", "metrics"}
    assert [name for name in names if f'id="{module}.{name}"' not in everything] == []


def test_pages_load_nothing_from_other_hosts(pages):
    loading = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^\"'\s>]+")
    canonical = re.compile(r'rel="?canonical')
    loads = {path: match[0] for path, text in pages.items() for match in loading.finditer(text)}
    assert {path: tag for path, tag in loads.items() if not canonical.search(tag)} == {}


def test_it_can_be_searched(pages):
    index = json.loads((SITE / "search" / "search_index.json").read_text(encoding="utf-8"))
    assert {"methods/grad_cam/", "troubleshooting/"} <= {entry["location"] for entry in index["docs"]}


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and writes nothing."""

    def log_message(self, *arguments):
        pass


@contextmanager
def served():
    """Serve the site and return its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


REQUESTS = "return performance.getEntriesByType('resource').map(entry => entry.name)"
GROUND = "return getComputedStyle(document.body).backgroundColor"
WIDTH = "return document.documentElement.scrollWidth"


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize(("scheme", "is_bright"), [("light", True), ("dark", False)])
def test_it_fits_into_a_window_in_both_colours_and_asks_no_other_host(pages, width, scheme, is_bright):
    with browser() as driver, served() as address:
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 1000}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        for page in ("", "methods/grad_cam/", "metrics/", "studies/", "reference/"):
            driver.get(f"{address}/{page}")
            wait_until(driver, lambda text, _: "lightning_saliency" in text)
            assert driver.execute_script(WIDTH) <= width, page
            assert [url for url in driver.execute_script(REQUESTS) if not url.startswith((address, "data:"))] == []
            red = int(re.findall(r"\d+", driver.execute_script(GROUND))[0])
            assert (red > 200) is is_bright, page
