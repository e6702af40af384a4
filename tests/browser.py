"""A real browser without a window, for tests of pages."""

import shutil
import time
from contextlib import contextmanager

import pytest

PATIENCE = 90
DEEP = """
const view = {text: [], images: 0};
const walk = (node) => {
  if (node.nodeType === Node.TEXT_NODE) view.text.push(node.data);
  if (node.tagName === 'STYLE' || node.tagName === 'SCRIPT') return;
  if (node.tagName === 'IMG' && node.complete && node.naturalWidth > 0) view.images += 1;
  if (node.shadowRoot) node.shadowRoot.childNodes.forEach(walk);
  node.childNodes.forEach(walk);
};
walk(document.body);
return [view.text.join(' '), view.images];
"""


@contextmanager
def browser(width=1500, height=1400):
    """Open a headless Chromium, or skip the test if none is installed."""
    browsers = [path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path]
    driver_path = shutil.which("chromedriver")
    if not browsers or driver_path is None:
        pytest.skip("needs chromium and chromedriver on the path")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = browsers[0]
    for option in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        f"window-size={width},{height}",
    ):
        options.add_argument(f"--{option}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_path))
    try:
        yield driver
    finally:
        driver.quit()


def wait_until(driver, holds):
    """Wait until a condition on the page's text and number of pictures holds, and return both."""
    end = time.monotonic() + PATIENCE
    while True:
        text, images = driver.execute_script(DEEP)
        if holds(text, images):
            return text, images
        assert time.monotonic() < end, f"no success; the page has {images} pictures and ends with {text[-2000:]}"
        time.sleep(0.5)
