"""The share of an epoch that goes into evaluations, as the monitor logs it."""

import time

from lightning.pytorch import Callback
from lightning.pytorch.loggers.logger import DummyLogger

from lightning_saliency import SaliencyMonitor
from lightning_saliency.extend import write_picture
from tests.callbacks.training import MEAN, STD, fit


class Recorder(Callback):
    """Collects seconds and shares of all evaluations."""

    def __init__(self):
        self.seconds = []
        self.shares = []

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            self.seconds.append(trainer.callback_metrics["saliency/seconds"].item())
            self.shares.append(trainer.callback_metrics["saliency/fraction_of_epoch"].item())


class SlowTraining(Callback):
    """Makes every training batch take a known time."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        time.sleep(0.05)


def slow_method(model, images, targets):
    time.sleep(0.3)
    return images.mean(dim=1)


def watched():
    return SaliencyMonitor({"slow": slow_method}, num_images=6, mean=MEAN, std=STD, cues=())


def test_the_share_is_that_of_all_evaluations_in_the_epoch_so_far():
    recorder = Recorder()
    fit([SlowTraining(), watched(), recorder], max_epochs=2, val_check_interval=0.5, num_sanity_val_steps=0)
    # Six batches of at least .05 s an epoch, and an evaluation of at least .3 s after every third.
    assert all(seconds >= 0.3 for seconds in recorder.seconds)
    assert all(0 < share < 1 for share in recorder.shares)
    for epoch in (slice(0, 2), slice(2, 4)):
        (first, second), seconds = recorder.shares[epoch], recorder.seconds[epoch]
        assert first <= seconds[0] / (seconds[0] + 0.15)
        assert second <= sum(seconds) / (sum(seconds) + 0.3)


def test_an_epoch_that_is_nearly_all_explanation_has_a_share_near_one():
    recorder = Recorder()
    fit([watched(), recorder], max_epochs=1, num_sanity_val_steps=0)
    assert 0.3 < recorder.shares[0] <= 1


class SlowLogger(DummyLogger):
    """Takes its time for every picture."""


@write_picture.register
def _(logger: SlowLogger, tag, picture, step):
    time.sleep(0.2)


def test_drawing_and_logging_count_with_the_next_evaluation():
    recorder = Recorder()
    watcher = SaliencyMonitor({"flat": flat}, num_images=6, num_panels=4, mean=MEAN, std=STD, cues=())
    fit([watcher, recorder], logger=SlowLogger(), num_sanity_val_steps=0)
    first, second = recorder.seconds
    assert second > first + 0.6


def flat(model, images, targets):
    return images.mean(dim=1)
