"""Which scores follow confidence while a network trains, and what frees them of it: one row a training and metric.

After every epoch of clean trainings of the store the same images are scored in several ways. Each row has the rank
correlations over the epochs with the mean confidence; positive ones say that better scores come with more confidence.
A random map knows no network, so that its scores have nothing but confidence to follow. The trainings were named before
any of them was scored, and the two that `metrics.py` compares are not among them. Trainings that the table has already
are kept. With `--quick` a small network is trained on digits for two epochs, which shows that the study runs and
nothing else.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from metrics import Row, add_rows, controls, correlation, methods, metrics_for, read_table, upward
from torch import Tensor

# The store is in the folder of the shortcut studies.
sys.path.append(str(Path(__file__).parents[1] / "shortcuts"))

from designs import Design
from store import Training, predict, store_folder, train_or_read

from lightning_saliency import explain, score
from lightning_saliency.metrics import ExplanationMetric

SEEDS: Final = {
    ("digits", "flat"): (200, 203),
    ("digits", "gap"): (201, 204),
    ("digits", "vit"): (202, 2000),
    ("cifar", "flat"): (501, 2001),
    ("cifar", "gap"): (500, 2002),
    ("cifar", "vit"): (1501, 2000),
}
EPOCHS: Final = {"digits": 6, "cifar": 8}
QUICK: Final = (Design("even", control="clean", epochs=2),)
IMAGES: Final = 64


def trainings() -> tuple[Design, ...]:
    """List the clean trainings."""
    return tuple(
        Design(domain, control="clean", network=network, seed=seed, epochs=EPOCHS[domain])
        for (domain, network), seeds in SEEDS.items()
        for seed in seeds
    )


def correlations(training: Training, metrics: Sequence[ExplanationMetric], count: int) -> dict[str, Row]:
    """Return how scores follow the confidence over the epochs, in every way to score."""
    scores, confidence = zip(*epochs_of(training, metrics, count), strict=True)
    return {
        name: {way: correlation([epoch[name][way] for epoch in scores], confidence) for way in scores[0][name]}
        for name in scores[0]
    }


def epochs_of(
    training: Training, metrics: Sequence[ExplanationMetric], count: int
) -> Iterator[tuple[dict[str, Row], float]]:
    """Yield scores in all ways, and the mean confidence in the class, after each epoch."""
    images, labels = training.data.val.images[:count], training.data.val.labels[:count]
    *_, last = training.networks()
    for network in training.networks():
        maps = explain(network, images, labels, {"gag": methods(0)["gag"], **controls(0)})
        by_itself = score(network, images, maps, labels, metrics)
        by_last = score(last, images, {"gag": maps["gag"]}, labels, metrics)
        confidence = predict(network, images).softmax(dim=1)[torch.arange(len(labels)), labels].mean().item()
        yield {metric.name: ways_to_score(metric, by_itself, by_last["gag"]) for metric in metrics}, confidence


def ways_to_score(
    metric: ExplanationMetric, by_itself: Mapping[str, Mapping[str, Tensor]], by_last: Mapping[str, Tensor]
) -> Row:
    """Return what could be logged: higher values are better."""
    real, random, edges = (upward(metric, by_itself[name]).nanmean().item() for name in ("gag", "random", "edges"))
    return {
        "score": real,
        "random_map": random,
        "over_random": real - random,
        "over_edges": real - edges,
        "by_last": upward(metric, by_last).nanmean().item(),
    }


def main(options: argparse.Namespace) -> None:
    """Fill the table, one training after the other."""
    torch.set_num_threads(1)
    table, count = read_table(options.output), 8 if options.quick else IMAGES
    for design in QUICK if options.quick else trainings():
        metrics = [metric for group in metrics_for({}) for metric in group]
        if all((design.name, metric.name) in table for metric in metrics):
            continue
        started = time.process_time()
        training = train_or_read(design, store_folder())
        rows = correlations(training, metrics, count)
        seconds = round((time.process_time() - started) / len(metrics), 1)
        about = {"epochs": len(training.states), "images": count, "seconds": seconds}
        add_rows(table, design.name, {name: {**about, **row} for name, row in rows.items()}, options.output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/confidence.csv"))
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args())
