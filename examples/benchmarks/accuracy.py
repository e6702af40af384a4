"""How far scores move with `scoring_precision="bf16"`, on a trained network and in standard errors."""

import sys
from pathlib import Path
from typing import Any

import torch
from tables import Row, Table
from timing import seconds
from workloads import Options

from lightning_saliency import explain, score
from lightning_saliency.methods import (
    GradCAM,
    Gradient,
    GuidedAbsoluteGrad,
    Method,
    PositiveGradient,
    RandomMap,
    SmoothGrad,
)
from lightning_saliency.metrics import RCAP, Allegiance, Deletion, Infidelity, Insertion

sys.path.append(str(Path(__file__).parents[1]))
from cifar_resnet import MEAN, STD, load_network, sure_images

METHODS: list[Method] = [Gradient(), PositiveGradient(), GradCAM(), SmoothGrad(), GuidedAbsoluteGrad(), RandomMap()]


def accuracy(options: Options) -> list[Table]:
    """Score the same maps exactly and roughly; nothing without the trained network."""
    title = 'Error of scoring_precision="bf16": CIFAR-10 ResNet-20'
    if options.data_dir is None:
        return [Table(title, [{"": "left out: no data, see `--data-dir`"}])]
    network = load_network(Path(options.data_dir))
    images, targets = sure_images(network, Path(options.data_dir))
    images, targets = (part[: options.sized(64, 4)].to(options.device) for part in (images, targets))
    network = network.to(options.device)
    colours: dict[str, Any] = {"mean": MEAN, "std": STD}
    by_colour = [RCAP(**colours), Allegiance(**colours), Infidelity(num_samples=10, **colours)]
    metrics = [*by_colour, Insertion(10), Deletion(10)]
    maps = explain(network, images, targets, METHODS)
    exact = score(network, images, maps, targets, metrics)
    rough = score(network, images, maps, targets, metrics, scoring_precision="bf16")
    rows: list[Row] = []
    for metric in (metric.name for metric in metrics):
        errors = {name: _in_standard_errors(exact[name][metric], rough[name][metric]) for name in maps}
        worst = max(errors, key=lambda name: abs(errors[name]))
        rows.append({"metric": metric, "largest error in standard errors": f"{errors[worst]:+.3f}", "of": worst})
    times = [
        seconds(lambda p=p: score(network, images, maps, targets, metrics, scoring_precision=p), options.device)  # type: ignore[misc]
        for p in ("exact", "bf16")
    ]
    rows.append({"metric": "all, time", "largest error in standard errors": f"{times[0] / times[1]:.2f} x faster"})
    return [Table(f"{title}, {len(images)} images", rows)]


def _in_standard_errors(exact: torch.Tensor, rough: torch.Tensor) -> float:
    error = exact.double().std() / len(exact) ** 0.5
    return float((rough.double().mean() - exact.double().mean()) / error.clamp(min=1e-30))
