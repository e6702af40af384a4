"""The page in a real browser, where there is one."""

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
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed to look at the page with")

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
  document.documentElement.dataset.seen = JSON.stringify({
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
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=folder)
    return done.stdout


def seen(folder, page):
    """Say what is on a page, with its own guard against scripts taken away and ours put in."""
    text = re.sub(
        r'<meta http-equiv="Content-Security-Policy"[^>]*>', LISTEN, page.read_text(encoding="utf-8"), count=1
    )
    probed = folder / "probed.html"
    probed.write_text(text.replace("</body>", f"{LOOK}</body>"), encoding="utf-8")
    (found,) = re.findall(r'data-seen="([^"]*)"', browse(folder, probed, "--window-size=1280,900", "--dump-dom"))
    return json.loads(unescape(found))


@pytest.fixture
def page(tmp_path):
    write_log(tmp_path / "logs", settings={"network": "resnet"})
    write_report(tmp_path / "logs", tmp_path / "report.html")
    return tmp_path / "report.html"


def test_sections_charts_and_pictures_are_there(tmp_path, page):
    found = seen(tmp_path, page)
    assert found["faults"] == []
    assert found["fetched"] == []
    assert found["headings"] == [
        *("logs", "Where it stands", "Gate", "Scores", "Margins over controls", "Drift"),
        *("Curves behind the scores", "Explanations", "What the scores mean", "Hyper-parameters"),
        "Other values of the run",
    ]
    assert found["images"] == [240] * 15
    assert found["charts"] == [3, 2, 2, 2, 2, 1]
    assert min(found["heights"]) > 50
    assert found["width"] == [1280, 1280]


def test_earlier_pictures_can_be_stepped_to_without_a_script_of_the_page(tmp_path, page):
    found = seen(tmp_path, page)
    assert len(found["last"]) == len(found["first"]) == 5
    assert all(alt.endswith("epoch 2") for alt in found["last"])
    assert all(alt.endswith("epoch 0") for alt in found["first"])


def test_a_hostile_log_runs_nothing_even_without_the_policy(tmp_path):
    write_hostile_log(tmp_path / "logs")
    write_report(tmp_path / "logs", tmp_path / "report.html")
    found = seen(tmp_path, tmp_path / "report.html")
    assert found["faults"] == []
    assert found["fetched"] == []
    assert len(found["charts"]) == 6


def test_the_page_is_light_or_dark_as_the_reader_likes(tmp_path, page):
    corners = []
    for number, scheme in enumerate(("light", "dark")):
        picture = tmp_path / f"{scheme}.png"
        # Blink counts dark before light.
        options = ("--window-size=1280,3600", f"--blink-settings=preferredColorScheme={1 - number}")
        browse(tmp_path, page, f"--screenshot={picture}", *options)
        image = Image.open(picture).convert("RGB")
        colours = {colour: count for count, colour in image.getcolors(1_000_000)}
        # The five last pictures, which the policy lets through, but for their round corners.
        assert colours[80, 80, 200] > 0.99 * 5 * 60 * 240
        corners.append(sum(image.getpixel((2, 2))))
    assert corners[0] > 700
    assert corners[1] < 120
