"""One process against two that share the images, one thread each: `python processes.py N` is one of them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import torch
from tables import Table
from timing import spread
from workloads import Options, resnet18

from lightning_saliency import explain, score
from lightning_saliency.methods import GradCAM, GuidedAbsoluteGrad, Method, RandomMap
from lightning_saliency.metrics import RCAP, Allegiance

METHODS: list[Method] = [GuidedAbsoluteGrad(), GradCAM(), RandomMap()]
METRICS = [RCAP(), Allegiance()]


class Worker:
    """A process that explains and scores its share at each signal."""

    def __init__(self, num_images: int, options: Options) -> None:
        quick = ["--quick"] if options.quick else []
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), str(num_images), str(options.device), *quick],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )

    def start(self) -> None:
        """Send the signal."""
        print("go", file=self.process.stdin, flush=True)

    def wait(self) -> None:
        """Wait until it is ready, or has finished."""
        if self.process.stdout is None or not self.process.stdout.readline():
            raise RuntimeError("A worker process ended before it had finished.")

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


def processes(options: Options) -> list[Table]:
    """Time one process and two, in turn."""
    count = options.sized(64, 4)
    teams = {1: [Worker(count, options)], 2: [Worker(count // 2, options), Worker(count // 2, options)]}
    times: dict[int, list[float]] = {size: [] for size in teams}
    try:
        for workers in teams.values():
            for worker in workers:
                worker.wait()
        for _ in range(options.rounds):
            for size, workers in teams.items():
                started = time.perf_counter()
                for worker in workers:
                    worker.start()
                for worker in workers:
                    worker.wait()
                times[size].append(time.perf_counter() - started)
    finally:
        for workers in teams.values():
            for worker in workers:
                worker.stop()
    ratios = [one / two for one, two in zip(times[1], times[2], strict=True)]
    rows = [{"processes": str(size), "seconds": str(spread(durations))} for size, durations in times.items()]
    rows[1]["times as fast"] = str(spread(ratios))
    curve = {float(size): spread(durations).median for size, durations in times.items()}
    title = f"Default methods and metrics in one and two processes: ResNet-18 at 64 px, {count} images"
    return [Table(title, rows, {"one thread each": curve}, ("processes", "seconds"))]


def serve(num_images: int, options: Options) -> None:
    """Explain and score once for every line of the input."""
    torch.set_num_threads(1)
    work = resnet18(options, batch=num_images)
    print("ready", flush=True)
    for _ in sys.stdin:
        maps = explain(work.network, work.images, work.targets, METHODS)
        score(work.network, work.images, maps, work.targets, METRICS)
        print("done", flush=True)


if __name__ == "__main__":
    quick = "--quick" in sys.argv
    serve(int(sys.argv[1]), Options(torch.device(sys.argv[2]), rounds=1, quick=quick, data_dir=None))
