"""Which scores of maps can be trusted? Every metric on several trained networks, one row for each pair.

A metric should tell maps of the network from random ones and from edges, which know no network; order maps by the noise
that is mixed into them; score maps of a network with redrawn weights worse; find the cell of a grid that the network
reads; and rank methods alike on two halves of the images, with another noise, and on networks of other seeds. And over
the epochs of a training it should not merely follow confidence. `metrics_tables.py` makes the tables of the documents.
Rows that the table has already are kept, so that the study can be interrupted.
`LIGHTNING_SALIENCY_DATA` names the folder with images and weights. With `--quick` a small network is trained on digits
for one epoch, which shows that the study runs and nothing else.
"""

import argparse
import csv
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import combinations
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

# Studies import modules of the folder above, and the store is in that of the shortcut studies.
sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / "shortcuts"))

from designs import Design
from metrics_plot import plot
from signs import plant
from store import Training, predict, store_folder, train_or_read
from study_networks import build, train
from textured_digits import textured_digits

import lightning_saliency
from lightning_saliency import explain, normalize, score
from lightning_saliency.methods import EdgeMap, GradCAM, GuidedAbsoluteGrad, IntegratedGradients, Method, RandomMap
from lightning_saliency.metrics import (
    RCAP,
    ROAD,
    SRG,
    Allegiance,
    AverageDrop,
    AverageGain,
    Complexity,
    Deletion,
    ExplanationMetric,
    Infidelity,
    Insertion,
    Sparseness,
)

Row = dict[str, float]
Table = dict[tuple[str, str], Mapping[str, Any]]
TRAININGS: Final = "trainings"
NOISE: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
CLEAN: Final = (
    Design("cifar", control="clean", network="gap", seed=1500, epochs=8),
    Design("digits", control="clean", network="flat", seed=1202, epochs=6),
)
RETRAINED: Final = tuple(
    Design("digits", control="clean", network="flat", seed=seed) for seed in (200, 203, 1202, 2001)
)
MARKED: Final = Design("digits", "place", network="flat", seed=100)
TEXTURED: Final = {"resnet10t": 3, "mobilenetv2_050": 8, "vit_tiny_r_s16_p8_224": 4}
"""Epochs of training on digits on textured canvases."""
TEXTURED_IMAGES: Final = 3840
FEW: Final = 24
"""Most grids."""


class Subject(NamedTuple):
    """A network with images that it gets right, their classes, and how they were normalised."""

    network: nn.Module
    images: Tensor
    targets: Tensor
    colours: dict[str, Any]


def resnet20(count: int) -> Subject:
    """Return the trained CIFAR-10 network."""
    from cifar_resnet import MEAN, STD, load_network, sure_images

    data = Path(os.environ["LIGHTNING_SALIENCY_DATA"])
    network = load_network(data)
    with torch.no_grad():
        images, targets = sure_images(network, data)
    return Subject(network, images[:count], targets[:count], {"mean": MEAN, "std": STD})


def lite0(count: int) -> Subject:
    """Return the trained ImageNet network at 224 pixels."""
    from imagenet import MEAN, STD, image_files, load_lite0, read_images

    network, files = load_lite0(), image_files(Path(os.environ["LIGHTNING_SALIENCY_DATA"]))
    images, targets = read_images(files[:: len(files) // (2 * count)])
    return _right(network, images, targets, count, {"mean": MEAN, "std": STD})


def of_store(design: Design) -> Callable[[int], Subject]:
    """Return what gives the last network of a training."""

    def subject(count: int) -> Subject:
        training = train_or_read(design, store_folder())
        *_, network = training.networks()
        return _right(network, training.data.test.images, training.data.test.labels, count, {})

    return subject


def textured(name: str) -> Callable[[int], Subject]:
    """Return what gives a small timm network for digits on textured canvases, trained if the store does not hold it."""

    def subject(count: int) -> Subject:
        path = store_folder() / f"textured-{name}.pt"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(train(name, textured_digits(TEXTURED_IMAGES, 0), TEXTURED[name]).state_dict(), path)
        network = build(name)
        network.load_state_dict(torch.load(path, weights_only=True))
        digits = textured_digits(4 * count, 1)
        return _right(network.eval(), digits.images, digits.labels, count, {})

    return subject


SUBJECTS: Final[dict[str, tuple[int, Callable[[int], Subject]]]] = {
    "ResNet-20, CIFAR-10": (48, resnet20),
    "ResNet, textures": (24, textured("resnet10t")),
    "MobileNet, textures": (24, textured("mobilenetv2_050")),
    "ViT, textures": (24, textured("vit_tiny_r_s16_p8_224")),
    "EfficientNet-Lite0, ImageNet": (12, lite0),
    "flat, digits": (64, of_store(CLEAN[1])),
    "gap, CIFAR-10": (64, of_store(CLEAN[0])),
    "vit, digits": (64, of_store(Design("digits", control="clean", network="vit", seed=1201))),
}
QUICK: Final = Design("even", control="clean", epochs=1)


def metrics_for(colours: dict[str, Any]) -> list[list[ExplanationMetric]]:
    """List what is compared, in groups that share predictions."""
    return [
        [RCAP(**colours), RCAP(normalize="intact", **colours), Allegiance(**colours)],
        [
            Infidelity(num_samples=20, **colours),
            AverageDrop(**colours),
            AverageGain(**colours),
            Sparseness(),
            Complexity(),
        ],
        [
            Insertion(10, **colours),
            Insertion(10, normalize="intact", **colours),
            Deletion(10, **colours),
            SRG(10, **colours),
            SRG(10, normalize="intact", **colours),
        ],
        [ROAD()],
    ]


def methods(seed: int) -> dict[str, Method]:
    """List whose maps are scored."""
    return {
        "gag": GuidedAbsoluteGrad(num_samples=10, seed=seed),
        "integrated": IntegratedGradients(10),
        "grad_cam": GradCAM(),
    }


def controls(seed: int) -> dict[str, Method]:
    """List the maps that know no network."""
    return {"random": RandomMap(seed), "edges": EdgeMap()}


def maps_of(subject: Subject, seed: int) -> dict[str, Tensor]:
    """Return maps of the network and maps that are worse or ought to be ranked alike."""
    network, images, targets, _ = subject
    maps = explain(network, images, targets, methods(seed) | controls(seed))
    others = explain(network, images, targets, {"gag": methods(seed + 1)["gag"], "random": RandomMap(seed + 1)})
    redrawn = explain(_redrawn(network, seed), images, targets, methods(seed))
    return {
        **maps,
        **noisy_maps(normalize(maps["gag"]), seed),
        **{f"other {name}": values for name, values in others.items()},
        **{f"redrawn {name}": values for name, values in redrawn.items()},
    }


def columns(subject: Subject, maps: Mapping[str, Tensor], metrics: Sequence[ExplanationMetric]) -> dict[str, Row]:
    """Compare each metric's scores of maps that should be told apart."""
    network, images, targets, _ = subject
    scores = score(network, images, maps, targets, metrics)
    grids = in_grids(subject, maps["gag"], metrics)
    result = {}
    for metric in metrics:
        rows = {name: upward(metric, values) for name, values in scores.items()}
        passes = forwards(subject, maps["gag"], metric)
        result[metric.name] = {**comparisons(rows), "z_grid": grids[metric.name], "forwards": passes}
    return result


def noisy_maps(clean: Tensor, seed: int) -> dict[str, Tensor]:
    """Mix noise into maps."""
    noise = torch.rand(clean.shape, generator=torch.Generator().manual_seed(seed))
    return {f"noise {share}": (1 - share) * clean + share * noise for share in NOISE}


def comparisons(rows: Mapping[str, Tensor]) -> Row:
    """Compare scores of maps, where higher ones are better."""
    names = [*methods(0)]
    ranked = [*names, *controls(0)]
    real, redrawn = (torch.stack([rows[f"{first}{name}"] for name in names]).mean(dim=0) for first in ("", "redrawn "))
    halves = [ranking(rows, ranked, slice(start, None, 2)) for start in (0, 1)]
    others = {name: rows.get(f"other {name}", rows[name]) for name in ranked}
    return {
        "z_random": _z(real - rows["random"]),
        "z_edges": _z(real - rows["edges"]),
        "order": correlation([-share for share in NOISE], ranking(rows, [f"noise {share}" for share in NOISE])),
        "z_redrawn": _z(real - redrawn),
        "halves": correlation(*halves),
        "seeds": correlation(ranking(rows, ranked), ranking(others, ranked)),
    }


def ranking(rows: Mapping[str, Tensor], names: Sequence[str], part: slice = slice(None)) -> list[float]:
    """Return the mean scores of maps on some images."""
    return [rows[name][part].nanmean().item() for name in names]


class ReadsCell(nn.Module):
    """A network that reads the first cell of a grid of 2 x 2 images, and nothing else."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, grids: Tensor) -> Tensor:
        """Return logits (B, K) of the first cells."""
        height, width = (side // 2 for side in grids.shape[2:])
        logits: Tensor = self.network(grids[..., :height, :width])
        return logits


def in_grids(subject: Subject, maps: Tensor, metrics: Sequence[ExplanationMetric]) -> dict[str, float]:
    """Return by how many standard errors maps in the cell that is read win over the same maps in another cell."""
    images = subject.images
    cells = [images.roll(places, dims=0) for places in range(4)]
    grids = torch.cat([torch.cat(cells[:2], dim=-1), torch.cat(cells[2:], dim=-1)], dim=-2)[:FEW]
    there = torch.zeros(len(images), *(2 * side for side in maps.shape[1:]))
    there[:, : maps.shape[1], : maps.shape[2]] = maps
    both = {"there": there[:FEW], "elsewhere": there.flip(1, 2)[:FEW]}
    scores = score(ReadsCell(subject.network), grids, both, subject.targets[:FEW], metrics)
    return {
        metric.name: _z(upward(metric, scores["there"]) - upward(metric, scores["elsewhere"])) for metric in metrics
    }


def forwards(subject: Subject, maps: Tensor, metric: ExplanationMetric, count: int = 4) -> float:
    """Count the forwards of a map and image."""
    passes = [0]
    handle = subject.network.register_forward_hook(lambda *call: passes.__setitem__(0, passes[0] + len(call[2])))
    score(subject.network, subject.images[:count], {"gag": maps[:count]}, subject.targets[:count], [metric])
    handle.remove()
    return passes[0] / count


def with_confidence(metrics: Sequence[ExplanationMetric]) -> dict[str, float]:
    """Return the mean correlation of scores with the confidence over the epochs of clean trainings."""
    values: dict[str, list[float]] = {metric.name: [] for metric in metrics}
    for design in CLEAN:
        scores, confidence = zip(*_epochs(train_or_read(design, store_folder()), metrics), strict=True)
        for name, each in values.items():
            each.append(abs(correlation([epoch[name] for epoch in scores], confidence)))
    return {name: sum(each) / len(each) for name, each in values.items()}


def with_truth(metrics: Sequence[ExplanationMetric], count: int = 64) -> dict[str, float]:
    """Return by how many standard errors the place of a sign, which the network reads, wins over edges."""
    training = train_or_read(MARKED, store_folder())
    *_, network = training.networks()
    before, labels = training.data.test.images[:count], training.data.test.labels[:count]
    images = plant(before, labels, MARKED.kind, 1)
    place = (images != before).any(dim=1).float()
    edges = explain(network, images, labels, {"edges": EdgeMap()})
    rows = score(network, images, {"place": place, **edges}, labels, metrics)
    return {metric.name: _z(upward(metric, rows["place"]) - upward(metric, rows["edges"])) for metric in metrics}


def with_other_seeds(metrics: Sequence[ExplanationMetric], count: int = 64) -> dict[str, float]:
    """Return the mean correlation between the rankings of maps on networks that were trained from other seeds."""
    rankings: dict[str, list[list[float]]] = {metric.name: [] for metric in metrics}
    for design in RETRAINED:
        network, images, targets, _ = of_store(design)(count)
        maps = explain(network, images, targets, methods(0) | controls(0))
        scores = score(network, images, maps, targets, metrics)
        for metric in metrics:
            rankings[metric.name].append(ranking({name: upward(metric, scores[name]) for name in maps}, [*maps]))
    pairs = {name: [correlation(*pair) for pair in combinations(rows, 2)] for name, rows in rankings.items()}
    return {name: sum(each) / len(each) for name, each in pairs.items()}


def main(options: argparse.Namespace) -> None:
    """Fill the table, one network after the other."""
    torch.set_num_threads(1)
    table = read_table(options.output)
    subjects = {"quick": (6, of_store(QUICK))} if options.quick else SUBJECTS
    for name, (count, make) in subjects.items():
        if options.only in name:
            evaluate_subject(name, count, make, table, options)
    if not (options.quick or options.only or any(network == TRAININGS for network, _ in table)):
        metrics = [metric for group in metrics_for({}) for metric in group]
        parts = [with_confidence(metrics), with_truth(metrics), with_other_seeds(metrics)]
        rows = {
            name: dict(zip(("confidence", "z_truth", "retrained"), (part[name] for part in parts), strict=True))
            for name in parts[0]
        }
        add_rows(table, TRAININGS, rows, options.output)
    plot(list(table.values()), options.output.with_suffix(".png"))


def evaluate_subject(
    name: str, count: int, make: Callable[[int], Subject], table: Table, options: argparse.Namespace
) -> None:
    """Add the rows of a network that the table lacks."""
    groups = [group for group in metrics_for({}) if not all((name, metric.name) in table for metric in group)]
    if not groups:
        return
    subject = make(count)
    maps = maps_of(subject, options.seed)
    names = {metric.name for group in groups for metric in group}
    for group in metrics_for(subject.colours):
        if group[0].name in names:
            started = time.process_time()
            rows = columns(subject, maps, group)
            seconds = round((time.process_time() - started) / len(group), 1)
            about = {"images": len(subject.images), "seed": options.seed, "seconds": seconds}
            add_rows(table, name, {metric: {**about, **row} for metric, row in rows.items()}, options.output)


def add_rows(table: Table, network: str, rows: Mapping[str, Row], path: Path) -> None:
    """Write the rows of a network."""
    versions = {"torch": torch.__version__, "lightning_saliency": lightning_saliency.__version__}
    for name, row in rows.items():
        values = {key: round(value, 4) for key, value in row.items()}
        table[network, name] = {"network": network, "metric": name, **values, **versions}
        print(f"{network}, {name}: {values}", flush=True)
    write_table(path, table)


def upward(metric: ExplanationMetric, scores: Mapping[str, Tensor]) -> Tensor:
    """Return a metric's scores, of which higher ones are better."""
    values = scores[metric.name].double()
    return values if metric.higher_is_better else -values


def _epochs(
    training: Training, metrics: Sequence[ExplanationMetric], count: int = 64
) -> Iterator[tuple[dict[str, float], float]]:
    """Yield the mean scores of the classes' maps, and the mean confidence in the class, after each epoch."""
    images, labels = training.data.val.images[:count], training.data.val.labels[:count]
    for network in training.networks():
        maps = explain(network, images, labels, {"gag": methods(0)["gag"]})
        scores = score(network, images, maps, labels, metrics)["gag"]
        confidence = predict(network, images).softmax(dim=1)[torch.arange(len(labels)), labels]
        yield {name: values.nanmean().item() for name, values in scores.items()}, confidence.mean().item()


def _right(network: nn.Module, images: Tensor, labels: Tensor, count: int, colours: dict[str, Any]) -> Subject:
    """Keep the first images that the network gets right."""
    network.eval()
    rows = (predict(network, images).argmax(dim=1) == labels).nonzero().flatten()[:count]
    return Subject(network, images[rows], labels[rows], colours)


def _redrawn(network: nn.Module, seed: int) -> nn.Module:
    """Return a copy whose layers have new weights."""
    twin = deepcopy(network)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for module in twin.modules():
            redraw = getattr(module, "reset_parameters", None)
            if callable(redraw):
                redraw()
    return twin.eval()


def _z(gaps: Tensor) -> float:
    # Sums of equal values in another order are equal.
    gaps = gaps[torch.isfinite(gaps)].double().round(decimals=6)
    spread = gaps.std() / len(gaps) ** 0.5
    return float(gaps.mean() / spread.clamp(min=1e-12))


def correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the rank correlation; 0 where a constant has no order."""
    if len({*first}) < 2 or len({*second}) < 2:
        return 0.0
    return float(spearmanr(first, second).statistic)


def read_table(path: Path) -> Table:
    """Read the rows by network and metric."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {(row["network"], row["metric"]): row for row in csv.DictReader(file)}


def write_table(path: Path, rows: Table) -> None:
    """Write all rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = dict.fromkeys(name for row in rows.values() for name in row)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(names))
        writer.writeheader()
        writer.writerows(rows.values())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/metrics.csv"))
    parser.add_argument("--only", default="", help="only networks that have this in their name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args())
