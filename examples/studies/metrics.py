"""Which scores of maps can be trusted? Every metric on several trained networks, one row for each pair.

A metric should tell maps of the network from random ones and from edges, which know no network; order maps by the noise
that is mixed into them; score maps of a network with redrawn weights worse; and rank methods alike on two halves of the
images. And over the epochs of a training it should not merely follow confidence. `metrics_tables.py` makes the tables
of the documents. Rows that the table has already are kept, so that the study can be interrupted.
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
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

# Studies import modules of the folder above, and the store is in that of the shortcut studies.
sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / "shortcuts"))

from designs import Design
from signs import plant
from store import Training, predict, store_folder, train_or_read

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

NOISE: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
CLEAN: Final = (
    Design("cifar", control="clean", network="gap", seed=1500, epochs=8),
    Design("digits", control="clean", network="flat", seed=1202, epochs=6),
)
MARKED: Final = Design("digits", "place", network="flat", seed=100)


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


SUBJECTS: Final[dict[str, tuple[int, Callable[[int], Subject]]]] = {
    "flat, digits": (64, of_store(CLEAN[1])),
    "gap, CIFAR-10": (64, of_store(CLEAN[0])),
    "vit, digits": (64, of_store(Design("digits", control="clean", network="vit", seed=1201))),
    "ResNet-20, CIFAR-10": (48, resnet20),
    "EfficientNet-Lite0, ImageNet": (12, lite0),
}
QUICK: Final = Design("even", control="clean", epochs=1)


def metrics_for(colours: dict[str, Any]) -> list[ExplanationMetric]:
    """List what is compared."""
    insertions = [Insertion(10, **colours), Insertion(10, normalize="intact", **colours), Deletion(10, **colours)]
    gains = [SRG(10, **colours), SRG(10, normalize="intact", **colours), ROAD()]
    drops = [AverageDrop(**colours), AverageGain(**colours)]
    paper = [
        RCAP(**colours),
        RCAP(normalize="intact", **colours),
        Allegiance(**colours),
        Infidelity(num_samples=20, **colours),
    ]
    return [*paper, *insertions, *gains, *drops, Sparseness(), Complexity()]


def methods() -> dict[str, Method]:
    """List whose maps are scored."""
    return {"gag": GuidedAbsoluteGrad(num_samples=10), "integrated": IntegratedGradients(10), "grad_cam": GradCAM()}


def columns(subject: Subject, metric: ExplanationMetric, seed: int) -> dict[str, float]:
    """Compare one metric's scores of maps that should be told apart."""
    network, images, targets, _ = subject
    maps = explain(network, images, targets, methods())
    controls = explain(network, images, targets, {"random": RandomMap(seed), "edges": EdgeMap()})
    others = explain(_redrawn(network, seed), images, targets, methods())
    clean = normalize(maps["gag"])
    noise = torch.rand(clean.shape, generator=torch.Generator().manual_seed(seed))
    noisy = {f"noise {share}": (1 - share) * clean + share * noise for share in NOISE}
    redrawn = {f"redrawn {name}": values for name, values in others.items()}
    passes = [0]
    handle = network.register_forward_hook(lambda *call: passes.__setitem__(0, passes[0] + len(call[2])))
    score(network, images, {"gag": maps["gag"]}, targets, [metric])
    handle.remove()
    scores = score(network, images, {**maps, **controls, **noisy, **redrawn}, targets, [metric])
    sign = 1 if metric.higher_is_better else -1
    rows = {name: sign * values[metric.name].double() for name, values in scores.items()}
    real = torch.stack([rows[name] for name in maps]).mean(dim=0)
    redrawn_scores = torch.stack([rows[name] for name in redrawn]).mean(dim=0)
    ranking = torch.stack([rows[name] for name in maps | controls])
    return {
        "z_random": _z(real - rows["random"]),
        "z_edges": _z(real - rows["edges"]),
        "order": _correlation([-share for share in NOISE], [rows[name].nanmean().item() for name in noisy]),
        "z_redrawn": _z(real - redrawn_scores),
        "halves": _correlation(*(ranking[:, start::2].nanmean(dim=1).tolist() for start in (0, 1))),
        "forwards": passes[0] / len(images),
    }


def with_confidence(metric: ExplanationMetric) -> float:
    """Return the mean correlation of a score with the confidence over the epochs of clean trainings."""
    values = []
    for design in CLEAN:
        scores, confidence = zip(*_epochs(train_or_read(design, store_folder()), metric), strict=True)
        values.append(abs(_correlation(scores, confidence)))
    return sum(values) / len(values)


def with_truth(metric: ExplanationMetric, count: int = 64) -> float:
    """Return by how many standard errors the place of a sign, which the network reads, wins over edges."""
    training = train_or_read(MARKED, store_folder())
    *_, network = training.networks()
    before, labels = training.data.test.images[:count], training.data.test.labels[:count]
    images = plant(before, labels, MARKED.kind, 1)
    place = (images != before).any(dim=1).float()
    edges = explain(network, images, labels, {"edges": EdgeMap()})
    rows = score(network, images, {"place": place, **edges}, labels, [metric])
    gap = rows["place"][metric.name] - rows["edges"][metric.name]
    return _z(gap if metric.higher_is_better else -gap)


def main(options: argparse.Namespace) -> None:
    """Fill the table, one row after the other."""
    torch.set_num_threads(1)
    rows = _read(options.output)
    subjects = {"quick": (6, of_store(QUICK))} if options.quick else SUBJECTS
    for name, (count, make) in subjects.items():
        if options.only not in name:
            continue
        subject = make(count)
        for metric in metrics_for(subject.colours):
            if (name, metric.name) in rows:
                continue
            started = time.process_time()
            row = {"network": name, "metric": metric.name, "images": len(subject.images), "seed": options.seed}
            row |= {key: round(value, 4) for key, value in columns(subject, metric, options.seed).items()}
            versions = {"torch": torch.__version__, "lightning_saliency": lightning_saliency.__version__}
            row |= {"seconds": round(time.process_time() - started, 1), **versions}
            rows[name, metric.name] = row
            _write(options.output, rows)
            print(f"{name}, {metric.name}: {row['z_random']} over random, {row['z_edges']} over edges", flush=True)
    if not (options.quick or options.only):
        for metric in metrics_for({}):
            if ("trainings", metric.name) not in rows:
                row = {"confidence": round(with_confidence(metric), 4), "z_truth": round(with_truth(metric), 4)}
                rows["trainings", metric.name] = {"network": "trainings", "metric": metric.name, **row}
                _write(options.output, rows)


def _epochs(training: Training, metric: ExplanationMetric, count: int = 64) -> Iterator[tuple[float, float]]:
    """Yield the mean score of the classes' maps, and the mean confidence in the class, after each epoch."""
    images, labels = training.data.val.images[:count], training.data.val.labels[:count]
    for network in training.networks():
        maps = explain(network, images, labels, {"gag": GuidedAbsoluteGrad(num_samples=10)})
        scores = score(network, images, maps, labels, [metric])["gag"][metric.name]
        confidence = predict(network, images).softmax(dim=1)[torch.arange(len(labels)), labels]
        yield scores.nanmean().item(), confidence.mean().item()


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
    gaps = gaps[torch.isfinite(gaps)].double()
    spread = gaps.std() / len(gaps) ** 0.5
    return float(gaps.mean() / spread.clamp(min=1e-12))


def _correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the rank correlation; 0 where a constant has no order."""
    if len({*first}) < 2 or len({*second}) < 2:
        return 0.0
    return float(spearmanr(first, second).statistic)


def _read(path: Path) -> dict[tuple[str, str], Mapping[str, Any]]:
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {(row["network"], row["metric"]): row for row in csv.DictReader(file)}


def _write(path: Path, rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
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
