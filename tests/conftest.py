"""Fixtures of all tests: one thread, a seed, and warnings that are forgotten between tests."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lightning_saliency._checks import warn_once


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> Iterator[None]:
    """Let interrupts come through: a shell makes processes ignore them that it starts in the background."""
    handler = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.fixture(autouse=True, scope="session")
def _no_results_here() -> Iterator[None]:
    """Let no test leave the files of a run without a logger in the folder that tests run in."""
    names = ("saliency.csv", "evaluations.csv", "pictures", "texts")
    before = {name for name in names if Path(name).exists()}
    yield
    assert {name for name in names if Path(name).exists()} <= before


@pytest.fixture(autouse=True)
def _forgotten_warnings() -> None:
    warn_once.cache_clear()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
