"""TensorBoard as a user sees it: the real one, in a real browser."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from lightning.pytorch.loggers import TensorBoardLogger

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.methods import ExpectedGradCAM, GradCAM, InputXGradient
from tests.browser import browser, wait_until
from tests.callbacks.training import MEAN, STD, Classifier, fit


class Saving(Classifier):
    def __init__(self, lr=0.05):
        super().__init__()
        self.save_hyperparameters()


@contextmanager
def tensorboard(folder):
    """Serve a folder and return the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ) as server:
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_for(f"{address}/data/environment")
            yield address
        finally:
            server.terminate()


def _wait_for(address):
    for _ in range(180):
        try:
            with urlopen(address):
                return
        except (URLError, ConnectionError):
            time.sleep(0.5)
    pytest.fail("TensorBoard did not start")


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory):
    """A watched training in TensorBoard and a browser, and the folder of screenshots."""
    folder = tmp_path_factory.mktemp("logs")
    methods = {
        "own-name_é.2": InputXGradient(signed=True),
        "cam": GradCAM(),
        "expected": ExpectedGradCAM(num_samples=2),
    }
    watcher = SaliencyMonitor(
        methods, num_images=6, num_panels=1, mean=MEAN, std=STD, scale="common", log=("*",), cues=()
    )
    gate = GatedCheckpoint(gates={"saliency/cam/rcap": ">= 0.9"})
    with browser() as driver:
        fit([watcher, gate], make=Saving, logger=TensorBoardLogger(folder, name=""), log_every_n_steps=1, max_epochs=3)
        with tensorboard(folder) as address:
            yield driver, address, folder


def opened(dashboard, tab, holds):
    driver, address, folder = dashboard
    driver.get(f"{address}/?tab={tab}#{tab}")
    view = wait_until(driver, holds)
    assert driver.save_screenshot(str(folder / f"{tab}.png"))
    return view


def test_strips_and_curves_are_shown(dashboard):
    # A strip and a most drifted one for each method, and a figure of curves.
    text, _ = opened(dashboard, "images", lambda text, images: images >= 7)
    for tag in ("saliency/cam/drifted_0", "saliency/curves/rcap"):
        assert tag in text


def test_the_charts_of_the_layout_are_shown(dashboard):
    titles = ("rcap", "rcap over random, +- 1 standard error", "drift: rank correlation with the first maps")
    # A chart of scores has three methods and the controls; one of margins or drift the methods alone.
    matches = ("Matches (5)", "Matches (3)")
    opened(
        dashboard,
        "custom_scalars",
        lambda text, _: all(words in " ".join(text.split()) for words in (*titles, *matches)),
    )


def test_the_card_and_the_decisions_are_shown_and_names_are_not_read_as_html(dashboard):
    text, _ = opened(dashboard, "text", lambda text, _: "Indices in the data" in text)
    for words in ("higher is better", "Our reading", "own-name_é.2", "refused", ">= 0.9"):
        assert words in text


def test_the_table_of_runs_shows_hyperparameters_and_final_scores(dashboard):
    text, _ = opened(dashboard, "hparams", lambda text, _: "saliency/cam/rcap" in text)
    assert "lr" in text.split()
