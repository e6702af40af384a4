"""A long run holds on to nothing."""

import gc
import os

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import GradCAM, GuidedAbsoluteGrad
from tests.callbacks.training import MEAN, STD, Classifier, Network, fit

EVERY = 20


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
    def __init__(self):
        self.readings = []

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            hooks = sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in pl_module.modules())
            handles = len(os.listdir("/proc/self/fd"))
            self.readings.append((live_bytes(), resident_bytes(), hooks, handles))


@pytest.mark.parametrize("steps", [300, pytest.param(1500, marks=pytest.mark.long)])
def test_memory_hooks_and_file_handles_stay_where_they_are(tmp_path, steps):
    meter = Meter()
    methods = [GuidedAbsoluteGrad(num_samples=2), GradCAM()]
    monitor = SaliencyMonitor(methods, num_images=3, num_panels=1, num_drifted=0, mean=MEAN, std=STD, cues=())
    fit(
        [monitor, meter],
        wide,
        max_epochs=steps // 6,
        check_val_every_n_epoch=None,
        val_check_interval=EVERY,
        logger=CSVLogger(tmp_path, name="", version="log"),
        log_every_n_steps=100,
    )
    assert len(meter.readings) == steps // EVERY
    tensors, resident, hooks, handles = zip(*meter.readings[2:], strict=True)
    assert max(tensors) <= 1.02 * tensors[0]
    assert max(resident) <= 1.02 * resident[0]
    assert set(hooks) == {0}
    assert len(set(handles)) == 1
