"""Interleaved rounds, their medians and quartiles, and the lower bound that the passes set."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from statistics import median, quantiles
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor, nn

Work = Callable[[], object]


class Spread(NamedTuple):
    """A median with its quartiles."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g} to {self.high:.3g})"


def spread(values: list[float]) -> Spread:
    """Summarise rounds."""
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return Spread(median(values), low, high)


@dataclass
class Counts:
    """Number of images that went forward, and of rows of logits that went backward."""

    forward: int = 0
    backward: int = 0


@contextmanager
def counting(network: nn.Module) -> Iterator[Counts]:
    """Count the images that go through a network."""
    counts = Counts()

    def back(gradient: Tensor) -> None:
        counts.backward += len(gradient)

    def ahead(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counts.forward += len(inputs[0])
        if output.requires_grad:
            output.register_hook(back)

    handle = network.register_forward_hook(ahead)
    try:
        yield counts
    finally:
        handle.remove()


@contextmanager
def timing_passes(network: nn.Module, device: torch.device) -> Iterator[SimpleQueue[float]]:
    """Time the network's forwards and the calls of `torch.autograd.grad`."""
    # A monitor gives back what the network's hooks change, such as lists, and leaves queues alone.
    durations: SimpleQueue[float] = SimpleQueue()
    started: list[float] = []
    grad = torch.autograd.grad

    def timed(*arguments: Any, **options: Any) -> Any:
        before = now(device)
        gradients = grad(*arguments, **options)
        durations.put(now(device) - before)
        return gradients

    handles = [
        network.register_forward_pre_hook(lambda *_: started.append(now(device))),
        network.register_forward_hook(lambda *_: durations.put(now(device) - started.pop())),
    ]
    try:
        with mock.patch("torch.autograd.grad", timed):
            yield durations
    finally:
        for handle in handles:
            handle.remove()


def now(device: torch.device) -> float:
    """Read the clock once the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds(work: Work, device: torch.device) -> float:
    """Time some work."""
    started = now(device)
    work()
    return now(device) - started


@dataclass
class Passes:
    """A batched forward, and a batched forward with its backward to the images, timed per image."""

    network: nn.Module
    images: Tensor
    forwards: list[float] = field(default_factory=list)
    backwards: list[float] = field(default_factory=list)

    def time(self) -> None:
        """Time both once more."""
        device, count = self.images.device, len(self.images)
        self.forwards.append(seconds(self._forward, device) / count)
        self.backwards.append(seconds(self._both, device) / count - self.forwards[-1])

    def least_seconds(self, counts: Counts, part: slice = slice(None)) -> float:
        """Return the least time in which so many images can go through the network."""
        return counts.forward * median(self.forwards[part]) + counts.backward * median(self.backwards[part])

    @torch.no_grad()
    def _forward(self) -> None:
        self.network(self.images)

    def _both(self) -> None:
        inputs = self.images.clone().requires_grad_()
        torch.autograd.grad(self.network(inputs).amax(dim=1).sum(), inputs)


@dataclass
class Rounds:
    """Times of each work by round, and their lower bounds in the same round, both in seconds.

    Attributes:
        times: By work and round.
        bounds: By work and round.
        counts: Passes of each work in one round.
        results: Results of each work in the last round.
    """

    times: dict[str, list[float]]
    bounds: dict[str, list[float]]
    counts: dict[str, Counts]
    results: dict[str, Any]

    def ratio(self, name: str) -> Spread:
        """Return how many times its lower bound a work takes."""
        return spread([took / least for took, least in zip(self.times[name], self.bounds[name], strict=True)])

    def against(self, name: str, other: str) -> Spread:
        """How many times as long another work takes."""
        return spread([theirs / ours for theirs, ours in zip(self.times[other], self.times[name], strict=True)])


def interleaved(works: Mapping[str, Work], network: nn.Module, images: Tensor, rounds: int) -> Rounds:
    """Run every work once a round, each after one timing of the passes that set its lower bound."""
    passes = Passes(network, images)
    passes.time()  # warms up
    result = Rounds({name: [] for name in works}, {name: [] for name in works}, {}, {})
    for _ in range(rounds):
        first = len(passes.forwards)
        for name, work in works.items():
            passes.time()
            with counting(network) as counts:
                started = now(images.device)
                result.results[name] = work()
                result.times[name].append(now(images.device) - started)
            result.counts[name] = counts
        passes.time()
        for name, counts in result.counts.items():
            result.bounds[name].append(passes.least_seconds(counts, slice(first, None)))
    return result
