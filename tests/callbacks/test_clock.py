from types import SimpleNamespace

import pytest

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import Gradient
from lightning_saliency.monitor import _clock
from tests.callbacks.training import MEAN, STD, fit


@pytest.fixture
def now(monkeypatch):
    """A clock that is set by hand."""
    time = SimpleNamespace(now=100.0)
    monkeypatch.setattr(_clock, "perf_counter", lambda: time.now)
    return time


def test_the_share_is_that_of_all_evaluations_in_the_epoch_so_far(now):
    clock = _clock.EpochClock()
    now.now += 10
    assert clock.share(2) == pytest.approx(0.2)
    now.now += 10
    assert clock.share(3) == pytest.approx(0.25)
    clock.start()
    now.now += 4
    assert clock.share(1) == pytest.approx(0.25)


def test_the_share_is_never_more_than_all(now):
    clock = _clock.EpochClock()
    now.now += 1
    assert clock.share(5) == 1


def test_every_evaluation_of_training_logs_its_share_of_the_epoch():
    run, _ = fit([SaliencyMonitor([Gradient()], num_images=6, mean=MEAN, std=STD)])
    seconds, share = (run.callback_metrics[f"saliency/{name}"].item() for name in ("seconds", "fraction_of_epoch"))
    assert seconds > 0
    assert 0 < share < 1
