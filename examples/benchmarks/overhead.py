"""The cost of the monitor: of an evaluation in training images, of a step without one, of the import."""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from tables import Row, Table
from timing import Spread, seconds, spread, timing_passes
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from workloads import Options, Workload, resnet18

from lightning_saliency import SaliencyMonitor

CIFAR10, IMAGENET = 50_000, 1_281_167


class Classifier(pl.LightningModule):
    """Trains a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.network(images)
        return logits

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Return the loss."""
        return functional.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Log the loss."""
        self.log("val_loss", functional.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Take plain steps."""
        return torch.optim.SGD(self.parameters(), lr=1e-3)


def monitor(options: Options, names: Sequence[str] = ()) -> list[Table]:
    """One evaluation of the default monitor, of its presets, and of one with `scoring_precision="bf16"`.

    Args:
        options: Options of the command line.
        names: Which of them to measure; all if there are none.
    """
    work = resnet18(options)
    count = options.sized(64, 4)
    images = torch.rand(2 * count, *work.images.shape[1:])
    data = TensorDataset(images, torch.arange(2 * count) % 10)
    work.network.requires_grad_(requires_grad=True)
    module = Classifier(work.network)
    monitors: dict[str, Callable[[], SaliencyMonitor]] = {
        "default": lambda: SaliencyMonitor(num_images=count),
        "fast": lambda: SaliencyMonitor.fast(num_images=count),
        "thorough": lambda: SaliencyMonitor.thorough(num_images=2 * count),
        'scoring_precision="bf16"': lambda: SaliencyMonitor(num_images=count, scoring_precision="bf16"),
        "cues=()": lambda: SaliencyMonitor(num_images=count, cues=()),
    }
    monitors = {name: make for name, make in monitors.items() if name in names or not names}
    every = {name: make().settings.every_n_epochs for name, make in monitors.items()}
    extra: dict[str, list[float]] = {name: [] for name in monitors}
    outside: dict[str, list[float]] = {name: [] for name in monitors}
    steps = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds + 1):
            without, passed_without = _validate(module, data, [], options, folder)
            steps.append(_training_seconds(module, work) / len(work.images))
            for name, make in monitors.items():
                took, passed = _validate(module, data, [make()], options, folder)
                extra[name].append(took - without)
                outside[name].append(1 - (passed - passed_without) / (took - without))
    rows = [_monitor_row(name, every[name], extra[name][1:], outside[name][1:], steps[1:]) for name in monitors]
    return [Table(f"One evaluation of the monitor, {count} images, beside training: ResNet-18 at 64 px", rows)]


def _monitor_row(name: str, every: int, extra: list[float], outside: list[float], steps: list[float]) -> Row:
    images = [took / step for took, step in zip(extra, steps, strict=True)]
    middle = spread(images).median
    return {
        "monitor": name,
        "seconds": str(spread(extra)),
        "training images that cost as much": str(Spread(*(round(value) for value in spread(images)))),
        "evaluates every n-th epoch": str(every),
        "of the epochs of CIFAR-10": f"{middle / every / CIFAR10:.2%}",
        "of those of ImageNet": f"{middle / every / IMAGENET:.3%}",
        "not in passes": f"{spread(outside).median:.1%}",
    }


def _validate(
    module: Classifier, data: TensorDataset, callbacks: Sequence[pl.Callback], options: Options, folder: str
) -> tuple[float, float]:
    """Return the seconds of a validation of one batch, and how many of them are spent in passes."""
    trainer = pl.Trainer(
        accelerator="gpu" if options.device.type == "cuda" else "cpu",
        devices=1,
        callbacks=[*callbacks],
        logger=TensorBoardLogger(folder),
        limit_val_batches=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    loader = DataLoader(data, batch_size=2)
    with timing_passes(module.network, options.device) as durations:
        took = seconds(lambda: trainer.validate(module, loader, verbose=False), options.device)
    return took, sum(durations.get() for _ in range(durations.qsize()))


def _training_seconds(module: Classifier, work: Workload) -> float:
    network = module.network.to(work.images.device).train()
    optimizer = module.configure_optimizers()

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(network(work.images), work.targets).backward()
        optimizer.step()

    took = seconds(step, work.images.device)
    network.eval()
    return took


def steps(options: Options) -> list[Table]:
    """Very cheap steps, with a monitor whose evaluation is never due, and without one."""
    count = options.sized(2000, 20)
    data = TensorDataset(torch.rand(count, 3, 8, 8), torch.zeros(count, dtype=torch.int64))
    times: dict[str, list[float]] = {"without": [], "with": []}
    for _ in range(options.rounds):
        for name, callbacks in (("without", []), ("with", [SaliencyMonitor(every_n_epochs=1000)])):
            times[name].append(_fit(data, callbacks) / count * 1e6)
    gaps = [with_it - without for with_it, without in zip(times["with"], times["without"], strict=True)]
    spreads = {"without a monitor": spread(times["without"]), "with one that is not due": spread(times["with"])}
    rows = [{"fit": name, "microseconds per step": str(value)} for name, value in spreads.items()]
    rows.append({"fit": "difference", "microseconds per step": str(spread(gaps))})
    return [Table(f"{count} steps of a linear model", rows)]


def _fit(data: TensorDataset, callbacks: Sequence[pl.Callback]) -> float:
    torch.manual_seed(0)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[*callbacks],
        logger=False,
        limit_val_batches=1,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    loader = DataLoader(data, batch_size=1)
    module = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)))
    started = time.perf_counter()
    trainer.fit(module, loader, loader)
    return time.perf_counter() - started


def imports(options: Options) -> list[Table]:
    """Import in fresh processes."""
    names = ("lightning", "lightning_saliency")
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(options.rounds + (not options.quick)):
        for name in names:
            times[name].append(_import_seconds(name))
    rows = []
    for name, pairs in times.items():
        warm = pairs[0 if options.quick else 1 :]  # the first reads files from the disk
        base = times["lightning"][-len(warm) :]
        ratios = spread([cpu / other for (_, cpu), (_, other) in zip(warm, base, strict=True)])
        wall, cpu = (spread([pair[side] for pair in warm]) for side in (0, 1))
        rows.append(
            {"import": name, "seconds": str(wall), "processor seconds": str(cpu), "x lightning alone": str(ratios)}
        )
    return [Table("Import in a fresh process", rows)]


def _import_seconds(name: str) -> tuple[float, float]:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {name}"], check=True, cwd=Path(__file__).parents[2])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - started, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
