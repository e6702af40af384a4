"""A real browser without a window, for pages that people look at."""

import shutil
import time
from contextlib import contextmanager

import pytest

PATIENCE = 90
DEEP = """
const found = {text: [], images: 0};
const walk = (node) => {
  if (node.nodeType === Node.TEXT_NODE) found.text.push(node.data);
  if (node.tagName === 'STYLE' || node.tagName === 'SCRIPT') return;
  if (node.tagName === 'IMG' && node.complete && node.naturalWidth > 0) found.images += 1;
  if (node.shadowRoot) node.shadowRoot.childNodes.forEach(walk);
  node.childNodes.forEach(walk);
};
walk(document.body);
return [found.text.join(' '), found.images];
"""


@contextmanager
def browser(width=1500, height=1400):
    """Lend a headless Chromium, or skip the test where there is none."""
    found = [path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path]
    driver_path = shutil.which("chromedriver")
    if not found or driver_path is None:
        pytest.skip("needs chromium and chromedriver on the path")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
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
    """Wait until something holds of the page's text and the number of its pictures, and return both."""
    end = time.monotonic() + PATIENCE
    while True:
        text, images = driver.execute_script(DEEP)
        if holds(text, images):
            return text, images
        assert time.monotonic() < end, f"waited in vain; the page has {images} pictures and says {text[-2000:]}"
        time.sleep(0.5)
