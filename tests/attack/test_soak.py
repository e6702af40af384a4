"""A long run holds on to nothing."""

import gc
import itertools
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import GradCAM, GuidedAbsoluteGrad
from tests.callbacks.training import MEAN, STD, Classifier, Network, fit


def live_bytes():
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if type(thing) in (torch.Tensor, torch.nn.Parameter)]
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def wide():
    """A network beside whose weights the few small maps that are remembered count as little as they usually do."""
    network = Network()
    network[3], network[-1] = torch.nn.Conv2d(8, 256, 3, padding=1), torch.nn.Linear(256, 3)
    return Classifier(network)


class Meter(Callback):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.readings, self.sizes = [], []

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            hooks = sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in pl_module.modules())
            handles = len(os.listdir("/proc/self/fd"))
            self.readings.append((live_bytes(), resident_bytes(), hooks, handles, threading.active_count()))
            self.sizes.append(sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()))


@pytest.mark.timeout(2400)
@pytest.mark.parametrize(("evaluations", "every"), [(15, 20), pytest.param(1000, 2, marks=pytest.mark.long)])
def test_memory_hooks_handles_and_threads_stay_where_they_are(
    tmp_path: Path, evaluations: int, every: int, tried: Callable[[str, int], None]
) -> None:
    meter = Meter(tmp_path)
    methods = [GuidedAbsoluteGrad(num_samples=2), GradCAM()]
    monitor = SaliencyMonitor(methods, num_images=3, num_panels=1, num_drifted=0, mean=MEAN, std=STD, cues=())
    fit(
        [monitor, meter],
        wide,
        max_epochs=evaluations * every // 6 + 1,
        max_steps=evaluations * every,
        check_val_every_n_epoch=None,
        val_check_interval=every,
        logger=CSVLogger(tmp_path, name="", version="log"),
        log_every_n_steps=100,
    )
    assert len(meter.readings) == evaluations
    tensors, resident, hooks, handles, threads = zip(*meter.readings[2:], strict=True)
    assert max(tensors) <= 1.02 * tensors[0]
    assert max(resident) <= 1.02 * resident[0]
    assert set(hooks) == {0}
    assert len(set(handles)) == 1
    assert len(set(threads)) == 1
    # Tables get the same rows from every evaluation, and pictures are bounded.
    growth = [later - earlier for earlier, later in itertools.pairwise(meter.sizes[2:])]
    assert max(growth) <= 1.5 * sorted(growth)[len(growth) // 2] + 4096
    tried("evaluations of one training", len(meter.readings))
