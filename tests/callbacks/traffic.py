"""The traffic of one evaluation, for numbers of processes that no test machine has.

`python -m tests.callbacks.traffic` prints the table of `docs/many-devices.md`. Messages are made by the package's own
functions from results of the given size, and their bytes are counted, so that only the images' contents are invented.
"""

import pickle
from dataclasses import dataclass

import torch

from lightning_saliency.cues import DEFAULT
from lightning_saliency.following import Alarm, Following
from lightning_saliency.monitor._compact import compact
from lightning_saliency.monitor._scalars import Scalar
from lightning_saliency.monitor.evaluated import Shown, Thumbnail
from lightning_saliency.monitor.evaluation import Evaluation, pack
from lightning_saliency.monitor.transplants import Example

PROCESSES = (1, 8, 64, 512, 4096)
SIDE = 224
DRIFT = ["drift_spearman", "drift_spearman_first"]
METRICS = ("rcap",)
CONTROLS = ("random", "edges")
HOSTS = 4
CUE_VALUES = 3  # mean, worst class and lead


@dataclass(frozen=True)
class Traffic:
    """Bytes of one evaluation.

    Attributes:
        content: The numbers, small maps and thumbnails of all images, without any packaging.
        first: Bytes that the first process receives.
        other: Bytes that every other process receives.
    """

    content: int
    first: int
    other: int


def traffic(num_processes: int, num_images: int, num_methods: int) -> Traffic:
    """Count the bytes of one evaluation with a metric, two controls, the default drift and cues, and most pictures."""
    methods = [f"method_{place}" for place in range(num_methods)]
    shares = [range(rank, num_images, num_processes) for rank in range(num_processes)]
    packed = [len(pickle.dumps((pack(_share(list(share), methods)), list(range(4))), protocol=5)) for share in shares]
    thumbnail = Shown({0: Thumbnail(torch.zeros(3, SIDE, SIDE, dtype=torch.uint8), ["image 0", "true 0 (1.00)"])}, {})
    example = Example(0, 1.0, torch.zeros(4, 3, SIDE, SIDE, dtype=torch.uint8), ("donor", "host", "host with the cue"))
    pictured = 4 + 2 * num_methods  # the panels; for each method the image that moved most and the worst one
    pictures = pictured * len(pickle.dumps(thumbnail, protocol=5))
    pictures += len(pickle.dumps(Shown({}, {"level": example}), protocol=5))
    without = len(pickle.dumps(Shown({}, {}), protocol=5)) * max(num_processes - pictured - 1, 0)
    margins = [f"{metric}_vs_{control}" for metric in METRICS for control in CONTROLS]
    values = [*DRIFT, "invalid", "blank", *METRICS, *margins]
    names = [f"saliency/{method}/{value}" for method in methods for value in values]
    names += [f"saliency/cues/{cue.name}{end}" for cue in DEFAULT for end in range(CUE_VALUES)]
    alarm = Alarm(1, "level", ("tone",), 0, donors=tuple(range(num_images)), suspects=("level",))
    # All numbers differ, since of equal objects only one would be sent.
    scalars = {name: Scalar(place / 7, place / 9, num_images) for place, name in enumerate(names)}
    outcome = len(pickle.dumps((scalars, alarm), protocol=5))
    columns = len(METRICS) * (num_methods + len(CONTROLS)) + len(DRIFT) * num_methods
    numbers = num_images * (8 * columns + 8 * 4 + 2 * (num_methods + len(CONTROLS)))
    numbers += num_images * len(DEFAULT) * 4 * (3 + 4 * HOSTS)
    maps = num_images * num_methods * (64 * 64 * 2 + 2 * 8)
    return Traffic(numbers + maps + (pictured + 4) * 3 * SIDE * SIDE, sum(packed) + pictures + without, outcome)


def _share(indices: list[int], methods: list[str]) -> Evaluation:
    if not indices:
        return Evaluation()
    size = len(indices)
    small = compact(torch.rand(1, 64, 64))[0]
    flags = {method: torch.zeros(size, dtype=torch.bool) for method in [*methods, *CONTROLS]}
    column = torch.rand(size, dtype=torch.float64)
    classes = torch.zeros(size, dtype=torch.int64)
    hosts = torch.zeros(size, HOSTS, dtype=torch.int64)
    return Evaluation(
        indices=torch.tensor(indices),
        scores={(method, metric): column for method in flags for metric in METRICS},
        drift={(method, name): column for method in methods for name in DRIFT},
        invalid=flags,
        blank=flags,
        targets=classes,
        predicted=classes,
        fingerprints=classes,
        maps={method: dict.fromkeys(indices, small) for method in methods},
        followings={cue.name: Following(cue, torch.tensor(indices), classes, classes, *[hosts] * 4) for cue in DEFAULT},
    )


def table() -> str:
    """Write the table in Markdown."""
    lines = [
        "| processes | 64 images, 2 methods: the first receives | each other | "
        "256 images, 10 methods: the first receives | each other |",
        "| --- | --- | --- | --- | --- |",
    ]
    for processes in PROCESSES:
        cells = [traffic(processes, 64, 2), traffic(processes, 256, 10)]
        columns = [f"{value.first / 1e6:.2f} MB | {value.other / 1e3:.1f} kB" for value in cells]
        lines.append(f"| {processes} | {' | '.join(columns)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())  # noqa: T201
