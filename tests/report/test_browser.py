"""The page in a real browser, if one is installed."""

import json
import re
import shutil
import subprocess
from html import unescape

import pytest
from PIL import Image

from lightning_saliency.report import write_report
from tests.report.logs import write_log
from tests.report.test_escaping import write_hostile_log

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")

LISTEN = """<script>
const faults = [];
for (const name of ["alert", "confirm", "prompt"]) window[name] = () => faults.push(name);
addEventListener("error", event => faults.push(event.message || `not loaded: ${event.target.outerHTML}`), true);
</script>"""
LOOK = """<script>
addEventListener("load", () => {
  const all = selector => [...document.querySelectorAll(selector)];
  const shown = () => all(".stepper img").filter(image => image.offsetWidth > 0).map(image => image.alt);
  const last = shown();
  all(".stepper input:first-of-type").forEach(choice => choice.click());
  document.documentElement.dataset.report = JSON.stringify({
    faults, last, first: shown(),
    headings: all("h2, h3, summary").map(heading => heading.textContent),
    images: all("img").map(image => image.naturalWidth),
    charts: all(".chart svg").map(chart => chart.querySelectorAll(".line").length),
    heights: all(".chart svg").map(chart => chart.getBoundingClientRect().height),
    fetched: performance.getEntriesByType("resource").map(entry => entry.name).filter(name => !/^data:/.test(name)),
    width: [document.documentElement.scrollWidth, innerWidth],
  });
});
</script>"""


def browse(folder, page, *options):
    """Open a page and return what the browser writes."""
    sandbox = ["--no-sandbox", f"--user-data-dir={folder / 'profile'}", "--disable-dev-shm-usage"]
    command = [BROWSER, "--headless=new", "--disable-gpu", "--hide-scrollbars", *sandbox, *options, page.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=folder)
    return result.stdout


def observe(folder, page):
    """Return what a browser makes of a page whose policy is replaced by a script of the test."""
    text = re.sub(
        r'<meta http-equiv="Content-Security-Policy"[^>]*>', LISTEN, page.read_text(encoding="utf-8"), count=1
    )
    probed = folder / "probed.html"
    probed.write_text(text.replace("</body>", f"{LOOK}</body>"), encoding="utf-8")
    (report,) = re.findall(r'data-report="([^"]*)"', browse(folder, probed, "--window-size=1280,900", "--dump-dom"))
    return json.loads(unescape(report))


@pytest.fixture
def page(tmp_path):
    write_log(tmp_path / "logs", settings={"network": "resnet"})
    write_report(tmp_path / "logs", tmp_path / "report.html")
    return tmp_path / "report.html"


def test_sections_charts_and_pictures_are_there(tmp_path, page):
    view = observe(tmp_path, page)
    assert view["faults"] == []
    assert view["fetched"] == []
    assert view["headings"] == [
        *("logs", "Where it stands", "Gate", "Scores", "Margins over controls", "Drift"),
        *("Curves of the scores", "Explanations", "Meaning of the scores", "Hyper-parameters"),
        "Other values of the run",
    ]
    assert view["images"] == [240] * 15
    assert view["charts"] == [3, 2, 2, 2, 2, 1]
    assert min(view["heights"]) > 50
    assert view["width"] == [1280, 1280]


def test_earlier_pictures_can_be_stepped_to_without_a_script_of_the_page(tmp_path, page):
    view = observe(tmp_path, page)
    assert len(view["last"]) == len(view["first"]) == 5
    assert all(alt.endswith("epoch 2") for alt in view["last"])
    assert all(alt.endswith("epoch 0") for alt in view["first"])


def test_a_hostile_log_runs_nothing_even_without_the_policy(tmp_path):
    write_hostile_log(tmp_path / "logs")
    write_report(tmp_path / "logs", tmp_path / "report.html")
    view = observe(tmp_path, tmp_path / "report.html")
    assert view["faults"] == []
    assert view["fetched"] == []
    assert len(view["charts"]) == 6


def test_the_page_is_light_or_dark_as_the_reader_prefers(tmp_path, page):
    corners = []
    for number, scheme in enumerate(("light", "dark")):
        picture = tmp_path / f"{scheme}.png"
        # Blink counts dark before light.
        options = ("--window-size=1280,3600", f"--blink-settings=preferredColorScheme={1 - number}")
        browse(tmp_path, page, f"--screenshot={picture}", *options)
        image = Image.open(picture).convert("RGB")
        colours = {colour: count for count, colour in image.getcolors(1_000_000)}
        # The five last pictures, which the policy allows, without their round corners.
        assert colours[80, 80, 200] > 0.99 * 5 * 60 * 240
        corners.append(sum(image.getpixel((2, 2))))
    assert corners[0] > 700
    assert corners[1] < 120
