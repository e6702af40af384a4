"""The number of images is cut once, so that an evaluation takes its share of an epoch and no more."""

import time

import pytest
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_saliency import SaliencyMonitor
from tests.callbacks.processes import spawn
from tests.callbacks.training import MEAN, STD, Classifier, Data, assert_identical, fit, trace, trainer

NUM_IMAGES = 12
BATCH_SECONDS = 0.03
IMAGE_SECONDS = 0.02


class SlowTraining(Callback):
    """Makes every training batch take a time."""

    def __init__(self, seconds=BATCH_SECONDS):
        self.seconds = seconds

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        time.sleep(self.seconds)


def slow_method(model, images, targets):
    time.sleep(IMAGE_SECONDS * len(images))
    return images.mean(dim=1)


def watched(**options):
    return SaliencyMonitor(
        {"slow": slow_method}, ["rcap"], num_images=NUM_IMAGES, mean=MEAN, std=STD, cues=(), **options
    )


def sizes_of(monitor):
    return [record.counts["saliency/slow/rcap"] for record in monitor.history]


def affordable(record, share):
    """Compute the number of images from what was logged: the duration, and its share of the epoch so far."""
    seconds = record.value("saliency/seconds")
    training = seconds / record.value("saliency/fraction_of_epoch") - seconds
    return max(1, int(NUM_IMAGES * share * training / seconds))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"val_check_interval": 0.5},
        {"check_val_every_n_epoch": 2, "max_epochs": 4},
        {"val_check_interval": 4, "check_val_every_n_epoch": None},
    ],
)
def test_after_the_first_evaluation_there_are_as_many_images_as_the_share_allows(options):
    monitor = watched(max_fraction_of_epoch=0.3)
    with pytest.warns(UserWarning, match=r"Explaining 12 images took .* \(limit .* s, 0\.3 of .* s of training\)"):
        fit([SlowTraining(), monitor], num_sanity_val_steps=0, **options)
    sizes = sizes_of(monitor)
    assert sizes[0] == NUM_IMAGES
    assert {*sizes[1:]} == {affordable(monitor.history[0], 0.3)}
    assert 1 <= sizes[1] < NUM_IMAGES
    assert monitor.settings.max_fraction_of_epoch is None


def test_a_share_that_is_kept_leaves_all_images():
    monitor = watched(max_fraction_of_epoch=1)
    fit([SlowTraining(0.1), monitor], num_sanity_val_steps=0)
    assert sizes_of(monitor) == [NUM_IMAGES, NUM_IMAGES]


@pytest.mark.parametrize(("seconds", "share"), [(1e-6, 1), (1e3, 1e-6)])
def test_the_smaller_of_two_limits_holds(seconds, share):
    monitor = watched(max_seconds=seconds, max_fraction_of_epoch=share)
    with pytest.warns(UserWarning, match=r"Using 1 image\(s\)"):
        fit([monitor], num_sanity_val_steps=0)
    assert sizes_of(monitor) == [NUM_IMAGES, 1]


def test_without_epochs_the_time_since_the_last_evaluation_counts():
    monitor = watched()
    fit([SlowTraining(), monitor], num_sanity_val_steps=0, val_check_interval=4, check_val_every_n_epoch=None)
    for record in monitor.history:  # four batches each, although an epoch begins after six
        seconds = record.value("saliency/seconds")
        assert record.value("saliency/fraction_of_epoch") <= seconds / (seconds + 4 * BATCH_SECONDS)


@pytest.mark.filterwarnings("ignore:.*when using `ckpt_path`", "ignore:.*your dataloader is not resumable")
def test_the_rest_of_an_epoch_decides_nothing(tmp_path):
    saving = ModelCheckpoint(tmp_path, filename="middle", every_n_train_steps=5)
    fit([watched(), saving], max_epochs=1, num_sanity_val_steps=0)
    second = watched(max_fraction_of_epoch=0.3)
    run = trainer([SlowTraining(), second], max_epochs=3, num_sanity_val_steps=0)
    with pytest.warns(UserWarning, match=r"Explaining 12 images took"):
        run.fit(Classifier(), Data(), ckpt_path=tmp_path / "middle.ckpt")
    # One batch was left of the first epoch.
    assert sizes_of(second) == [NUM_IMAGES, NUM_IMAGES, affordable(second.history[1], 0.3)]


def test_a_checkpoint_keeps_the_number(tmp_path):
    path = tmp_path / "end.ckpt"
    with pytest.warns(UserWarning, match=r"Using 1 image\(s\)"):
        fit([watched(max_fraction_of_epoch=1e-6)], num_sanity_val_steps=0, max_epochs=1)[0].save_checkpoint(path)
    monitor = watched(max_fraction_of_epoch=1)
    trainer([monitor], num_sanity_val_steps=0).fit(Classifier(), Data(), ckpt_path=path)
    assert sizes_of(monitor) == [NUM_IMAGES, 1]


def on_two_processes():
    """The second process waits long before it trains, so that the clocks disagree."""

    class LateStart(Callback):
        def on_train_start(self, trainer, pl_module):
            time.sleep(0.6 * trainer.global_rank)

    options = {"strategy": "ddp", "devices": 2, "num_sanity_val_steps": 0}
    # A share that is far from allowing all images, also where training is slow.
    monitor = watched(max_fraction_of_epoch=0.05)
    with_it = trace(*fit([monitor, LateStart(), SlowTraining()], **options))
    return with_it, trace(*fit([LateStart(), SlowTraining()], **options)), monitor.history, monitor.settings.num_images


def test_two_processes_agree_on_the_number(tmp_path):
    first, second = spawn(on_two_processes, tmp_path)
    for with_it, without, _, _ in (first, second):
        assert_identical(with_it, without)
    assert first[3] == second[3] == affordable(first[2][0], 0.05)
    assert first[3] < NUM_IMAGES
    for _, _, history, number in (first, second):
        assert [record.counts["saliency/slow/rcap"] for record in history] == [NUM_IMAGES, number]


@pytest.mark.parametrize("share", [0, -0.1, 5, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match=rf"`max_fraction_of_epoch` .*, but got {share}"):
        watched(max_fraction_of_epoch=share)


def test_a_share_is_a_number():
    with pytest.raises(TypeError, match="`max_fraction_of_epoch`"):
        watched(max_fraction_of_epoch="5%")
