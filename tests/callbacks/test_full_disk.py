"""A disk that the pictures of a monitor would fill."""

import subprocess

import pytest
from lightning.pytorch.loggers import TensorBoardLogger

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import Gradient
from tests.callbacks.training import MEAN, STD, assert_identical, fit, trace


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1.5 MB; only the superuser can make one."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(place)], check=False, capture_output=True
    )
    if made.returncode:
        pytest.skip("a small disk needs the right to mount one")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_pictures_fill_no_disk_on_which_a_training_logs(small_disk, tmp_path):
    options = {"max_epochs": 4, "log_every_n_steps": 1}
    alone = trace(*fit([], logger=TensorBoardLogger(tmp_path, name="", version="alone"), **options))
    monitor = SaliencyMonitor([Gradient()], num_images=8, num_panels=8, mean=MEAN, std=STD)
    with pytest.warns(UserWarning, match="could not be logged: OSError: .*No space left"):
        run, module = fit([monitor], logger=TensorBoardLogger(small_disk, name="", version="log"), **options)
    assert_identical(trace(run, module), alone)
    assert len(monitor.history) == 4
