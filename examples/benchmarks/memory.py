"""Peak of live tensor bytes, each in a fresh process: `python memory.py SmoothGrad 10` prints one."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import libraries
import torch
from tables import Table
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from workloads import Options, resnet18

from lightning_saliency.methods import IntegratedGradients, SmoothGrad

MIB = 2**20


class Live(TorchDispatchMode):
    """Counts the bytes of all live tensors that were made while it was active."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._storages: dict[int, tuple[StorageWeakRef, int]] = {}
        self._at_most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count the bytes after it."""
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._hold(leaf.untyped_storage())
        if self._at_most > self.peak:  # only then can there be a new peak
            self._storages = {key: entry for key, entry in self._storages.items() if not entry[0].expired()}
            self._at_most = sum(size for _, size in self._storages.values())
            self.peak = max(self.peak, self._at_most)
        return out

    def _hold(self, storage: torch.UntypedStorage) -> None:
        _, before = self._storages.get(storage._cdata, (None, 0))
        self._storages[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self._at_most += storage.nbytes() - before


def peak_of(what: str, count: int, options: Options) -> int:
    """Run one work and return its peak in bytes."""
    work = resnet18(options)
    model, images, targets = work.network, work.images, work.targets
    with Live() as live:
        if what == "SmoothGrad":
            SmoothGrad(count)(model, images, targets)
        elif what == "IntegratedGradients":
            IntegratedGradients(count, baseline="black")(model, images, targets)
        elif what == "captum SmoothGrad":
            libraries.captum_smooth_grad(work, count)
        else:
            libraries.captum_integrated_gradients(work, count)
    peak: int = live.peak
    return peak


def memory(options: Options) -> list[Table]:
    """Peaks for few and many samples; no 200 for captum, whose default is one batch of all copies."""
    counts_by_work = {
        "SmoothGrad": (10, 50, 200),
        "IntegratedGradients": (10, 50),
        "captum SmoothGrad": (10, 50),
        "captum IntegratedGradients": (10, 50),
    }
    if options.quick:
        counts_by_work = {"SmoothGrad": (2,), "captum IntegratedGradients": (2,)}
    curves = {
        what: {float(count): _in_fresh_process(what, count, options) / MIB for count in counts}
        for what, counts in counts_by_work.items()
    }
    rows = [
        {"work": what, **{f"{count:.0f} samples": f"{peak:.1f} MiB" for count, peak in curve.items()}}
        for what, curve in curves.items()
    ]
    return [Table("Peak memory: ResNet-18 at 64 px, 32 images", rows, curves, ("samples", "MiB"))]


def _in_fresh_process(what: str, count: int, options: Options) -> int:
    """Measure in a new process; a quick run measures in this one."""
    if options.quick:
        return peak_of(what, count, options)
    command = [sys.executable, str(Path(__file__)), what, str(count)]
    result = subprocess.run(command, capture_output=True, check=True, text=True)
    return int(result.stdout.split()[-1])


if __name__ == "__main__":
    cpu = Options(torch.device("cpu"), rounds=1, quick=False, data_dir=None)
    print(peak_of(sys.argv[1], int(sys.argv[2]), cpu))
