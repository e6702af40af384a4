"""Do the papers' claims hold on real images? Scores of images in two halves of ImageNet's, and of CIFAR-10's.

`papers_plan.py` says which comparisons are made, and was written before. `papers_tables.py` makes the tables and the
plot of the documents. The table has one row for each map and score, with the scores of all images, which have the same
order in all rows of a question. It is written after every ten images and is filled from there, so that the study can be
interrupted. `LIGHTNING_SALIENCY_DATA` names the folder with images and weights. With `--quick` everything runs on a few
random images and an untrained network, which shows that the study runs and nothing else.
"""

import argparse
import csv
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

# Studies import modules of the folder above.
sys.path.append(str(Path(__file__).parents[1]))

from papers_plan import (
    ALREADY_STUDIED,
    BLOCK,
    CONFIDENCE,
    COUNTS,
    EARLIER,
    FIRST,
    LITE0,
    PERCENTILES,
    REFERENCES,
    RESNET,
    SECOND,
)

import lightning_saliency
from lightning_saliency import explain, score
from lightning_saliency.methods import (
    ActiveGradient,
    EdgeMap,
    ExpectedGradCAM,
    ExpectedGradients,
    GradCAM,
    GradCAMPlusPlus,
    Gradient,
    GuidedAbsoluteGrad,
    GuidedBackprop,
    InactiveGradient,
    IntegratedGradCAM,
    IntegratedGradients,
    Method,
    NegativeGradient,
    PositiveGradient,
    RandomMap,
    SmoothGrad,
    VarGrad,
)
from lightning_saliency.metrics import RCAP, Allegiance, Deletion, ExplanationMetric, Insertion, RelevanceMass

CARTON: Final = 478
"""The class that the watermark of ImageNet-W pushes networks to."""
Scores = dict[tuple[str, str], Tensor]
"""Scores (B,) by names of the score and of the map."""
Key = tuple[str, str, str, str, str]
"""Network, half, question, score and map."""
COLUMNS: Final = ("network", "half", "question", "score", "map")
Mark = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Turns normalised images (B, C, H, W) into marked ones, and says where the mark's box is (B, H, W)."""


class Subject(NamedTuple):
    """A network and images with their classes, other images as references, and how all were normalised."""

    network: nn.Module
    images: Tensor
    targets: Tensor
    references: Tensor
    colours: dict[str, Any]
    layer: str
    mark: Mark | None = None
    classes_differ: bool = False

    def part(self, start: int, count: int) -> "Subject":
        """Return some of the images."""
        chosen = slice(start, start + count)
        return self._replace(images=self.images[chosen], targets=self.targets[chosen])


class FewClasses(nn.Module):
    """A network whose logits are those of some classes."""

    def __init__(self, network: nn.Module, classes: Tensor) -> None:
        super().__init__()
        self.network, self.classes = network, classes

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of these classes."""
        logits: Tensor = self.network(images)
        return logits[:, self.classes]


def order(subject: Subject, seed: int) -> Scores:
    """Score Guided AbsoluteGrad with several percentiles, and the methods that its paper compares with, by RCAP."""
    methods: dict[str, Method] = {
        f"guided {value}": GuidedAbsoluteGrad(percentile=value, seed=seed) for value in PERCENTILES
    }
    methods |= {"smooth_grad": SmoothGrad(seed=seed), "var_grad": VarGrad(seed=seed), "gradient": Gradient("sum_abs")}
    methods |= {"guided_backprop": GuidedBackprop(), "grad_cam": GradCAM(), "grad_cam_plus_plus": GradCAMPlusPlus()}
    methods["integrated_gradients"] = IntegratedGradients(10, "black", **subject.colours)
    return _scores(subject, methods | _controls(seed), [RCAP(**subject.colours)])


def allegiance(subject: Subject, seed: int) -> Scores:
    """Score positive and active maps on black, negative and inactive ones on white, among ten classes."""
    if subject.classes_differ:
        network = FewClasses(subject.network, subject.targets).eval()
        subject = subject._replace(network=network, targets=torch.arange(len(subject.targets)))
    black = {"positive": PositiveGradient(), "active": ActiveGradient()}
    white = {"negative": NegativeGradient(), "inactive": InactiveGradient()}
    return _allegiance(subject, black, white, seed)


def allegiance_of_all_classes(subject: Subject, seed: int) -> Scores:
    """Score the maps that cost one backward pass among all classes of the network."""
    return _allegiance(subject, {"positive": PositiveGradient()}, {"negative": NegativeGradient()}, seed)


def layers(subject: Subject, seed: int) -> Scores:
    """Score class activation maps of the last layer and of an earlier one, after which the network is not linear."""
    layer, colours = subject.layer, subject.colours
    methods: dict[str, Method] = {
        "grad_cam": GradCAM(),
        # The layer of Grad-CAM; the default of Expected Grad-CAM was changed after the first rows.
        "expected_grad_cam": ExpectedGradCAM(GradCAM.default_layer, subject.references, num_samples=10, seed=seed),
        "grad_cam, earlier": GradCAM(layer),
        "grad_cam_plus_plus, earlier": GradCAMPlusPlus(layer),
        "integrated_grad_cam, earlier": IntegratedGradCAM(layer, num_steps=10, baseline="black", **colours),
        "expected_grad_cam, earlier": ExpectedGradCAM(layer, subject.references, num_samples=10, seed=seed),
    }
    return _scores(subject, methods | _controls(seed), [Insertion(6, **colours), Deletion(6, **colours)])


def watermark(subject: Subject, seed: int) -> Scores:
    """Measure the share of relevance in the box of a mark, for the class that the mark raises and for the label."""
    if subject.mark is None:
        raise ValueError("`mark` must be what paints the mark, but got None.  Leave this question out.")
    network, unmarked = subject.network, subject.images
    marked, box = subject.mark(unmarked)
    carton = torch.full_like(subject.targets, min(CARTON, network(unmarked[:1]).shape[1] - 1))
    references = {"": subject.references, ", marked references": subject.mark(subject.references)[0]}
    methods: dict[str, Method] = {
        "gradient": Gradient(),
        "integrated_gradients": IntegratedGradients(10, "black", **subject.colours),
    }
    others: dict[str, Method] = {"guided 0.85": GuidedAbsoluteGrad(10, seed=seed)}
    for name, images in references.items():
        others[f"expected_gradients{name}"] = ExpectedGradients(images, 10, seed=seed)
    controls = _controls(seed)
    maps = explain(network, marked, carton, methods | others | controls)
    label = explain(network, marked, subject.targets, methods)
    before = explain(network, unmarked, carton, methods | controls)
    maps |= {f"{name}, label": values for name, values in label.items()}
    maps |= {f"{name}, unmarked": values for name, values in before.items()}
    rows = score(network, marked, maps, carton, [RelevanceMass()], masks=box)
    mass = {name: row["relevance_mass"] for name, row in rows.items()}
    scores = {("relevance in the box", name): values for name, values in mass.items()}
    scores |= {("rise by the mark", name): mass[name] - mass[f"{name}, unmarked"] for name in before}
    logits = {"marked": network(marked), "unmarked": network(unmarked)}
    return scores | {("logit of 478", name): values.gather(1, carton[:, None])[:, 0] for name, values in logits.items()}


QUESTIONS: Final[dict[str, Callable[[Subject, int], Scores]]] = {
    "order": order,
    "watermark": watermark,
    "layers": layers,
    "allegiance": allegiance,
    "allegiance, 1,000 classes": allegiance_of_all_classes,
}


def lite0(half: str) -> Subject:
    """Return the ImageNet network with the images of a half; neighbours are far apart in the list of classes."""
    from imagenet import MEAN, STD, image_files, load_lite0, read_images

    network = load_lite0().requires_grad_(False)
    files = image_files(Path(os.environ["LIGHTNING_SALIENCY_DATA"]))
    halves = {name: _sure(network, *read_images(files[start::2])) for start, name in enumerate((FIRST, SECOND))}
    images, targets = halves[half]
    count = max(COUNTS[LITE0, FIRST].values())
    references = halves[FIRST][0][count : count + REFERENCES]
    colours = {"mean": MEAN, "std": STD}
    return Subject(network, images, targets, references, colours, EARLIER[LITE0], _watermark(MEAN, STD), True)


def resnet20(half: str) -> Subject:
    """Return the CIFAR-10 network with images that no earlier study used."""
    from cifar_resnet import MEAN, STD, load_network, sure_images

    if half != SECOND:
        raise ValueError(f"`half` must be {SECOND!r}, but got {half!r}.  Directions come from ImageNet.")
    data = Path(os.environ["LIGHTNING_SALIENCY_DATA"])
    network = load_network(data)
    images, targets = sure_images(network, data)
    new = slice(ALREADY_STUDIED, None)
    colours = {"mean": MEAN, "std": STD}
    return Subject(network, images[new], targets[new], images[:REFERENCES], colours, EARLIER[RESNET])


def untrained(half: str) -> Subject:
    """Make a network and images without meaning, different ones for each half."""
    from cifar_resnet import ResNet20

    with torch.random.fork_rng():
        torch.manual_seed(len(half))
        network, images = ResNet20().eval().requires_grad_(False), torch.rand(6, 3, 8, 8)
    return Subject(network, images[:4], torch.arange(4), images[4:], {}, EARLIER[RESNET], _square, True)


SUBJECTS: Final[dict[str, Callable[[str], Subject]]] = {LITE0: lite0, RESNET: resnet20, "quick": untrained}
QUICK: Final = {("quick", half): dict.fromkeys(QUESTIONS, 4) for half in (FIRST, SECOND)}


def main(options: argparse.Namespace) -> None:
    """Fill the table, ten images of every question in turn, while there is time for as many as took longest."""
    torch.set_num_threads(1)
    began, longest = time.monotonic(), 0.0
    rows, subject_of = _read(options.output), cache(lambda network, half: SUBJECTS[network](half))
    for start, network, half, name in _steps(QUICK if options.quick else COUNTS):
        if options.only not in f"{network}, {half}, {name}" or _images_done(rows, network, half, name) > start:
            continue
        subject = subject_of(network, half).part(start, BLOCK)
        if len(subject.images) == 0:
            continue
        if time.monotonic() - began + longest > options.seconds:
            return
        started, clock = time.process_time(), time.monotonic()
        scores = QUESTIONS[name](subject, options.seed)
        seconds, longest = time.process_time() - started, max(longest, time.monotonic() - clock)
        for (metric, shown), values in scores.items():
            key = (network, half, name, metric, shown)
            rows[key] = _longer(rows.get(key), key, values, seconds, options.seed)
        _write(options.output, rows)
        print(f"{network}, {half} half, {name}: {start + len(subject.images)} images, {seconds:.0f} s", flush=True)


def _steps(counts: Mapping[tuple[str, str], Mapping[str, int]]) -> Iterator[tuple[int, str, str, str]]:
    """Yield where a block begins, and its network, half and question."""
    most = max(count for questions in counts.values() for count in questions.values())
    for start in range(0, most, BLOCK):
        for (network, half), questions in counts.items():
            yield from ((start, network, half, name) for name, count in questions.items() if start < count)


def _scores(subject: Subject, methods: Mapping[str, Method], metrics: list[ExplanationMetric]) -> Scores:
    maps = explain(subject.network, subject.images, subject.targets, methods)
    rows = score(subject.network, subject.images, maps, subject.targets, metrics)
    return {(metric, name): values for name, row in rows.items() for metric, values in row.items()}


def _allegiance(subject: Subject, black: Mapping[str, Method], white: Mapping[str, Method], seed: int) -> Scores:
    always = {"original": Gradient(), **_controls(seed)}
    maps = explain(subject.network, subject.images, subject.targets, {**always, **black, **white})
    scores: Scores = {}
    for metric, names in (
        (Allegiance("black", **subject.colours), black),
        (Allegiance("white", **subject.colours), white),
    ):
        chosen = {name: maps[name] for name in (*always, *names)}
        rows = score(subject.network, subject.images, chosen, subject.targets, [metric])
        scores |= {(metric.name, name): row[metric.name] for name, row in rows.items()}
    return scores


def _controls(seed: int) -> dict[str, Method]:
    return {"random": RandomMap(seed), "edges": EdgeMap()}


def _sure(network: nn.Module, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Keep images of which the network is sure, such that ten neighbours are spread over all classes."""
    with torch.no_grad():
        probabilities = torch.cat([network(part).softmax(dim=1) for part in images.split(BLOCK)])
    sure = (probabilities.gather(1, targets[:, None])[:, 0] > CONFIDENCE).nonzero().flatten()
    strides = len(sure) // BLOCK
    spread = torch.cat([sure[start::strides][:BLOCK] for start in range(strides)])
    return images[spread], targets[spread]


def _watermark(mean: tuple[float, ...], std: tuple[float, ...]) -> Mark:
    from imagenet_w import AddWatermark

    add = AddWatermark(224)
    centre, scale = (torch.tensor(values).reshape(3, 1, 1) for values in (mean, std))

    def mark(images: Tensor) -> tuple[Tensor, Tensor]:
        raw = (images * scale + centre).clamp(0, 1)
        marked = torch.stack([(add(image) - centre) / scale for image in raw])
        painted = (add(torch.zeros(3, *images.shape[2:])) > 0).any(dim=0)
        rows, columns = painted.any(dim=1).nonzero(), painted.any(dim=0).nonzero()
        box = torch.zeros_like(painted)
        box[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
        return marked, box.expand(len(images), -1, -1)

    return mark


def _square(images: Tensor) -> tuple[Tensor, Tensor]:
    box = torch.zeros(len(images), *images.shape[2:], dtype=torch.bool)
    box[:, :3, :3] = True
    return torch.where(box[:, None], 1.0, images), box


def _images_done(rows: Mapping[Key, Mapping[str, Any]], network: str, half: str, question: str) -> int:
    counts = (int(row["images"]) for key, row in rows.items() if key[:3] == (network, half, question))
    return min(counts, default=0)


def _longer(row: Mapping[str, Any] | None, key: Key, scores: Tensor, seconds: float, seed: int) -> Mapping[str, Any]:
    """Return a row with the scores of more images."""
    values = [] if row is None else row["values"].split()
    values += [f"{value:.4f}" for value in scores.tolist()]
    if row is not None:
        seconds += float(row["seconds"])
    numbers = {"images": len(values), "seed": seed, "seconds": round(seconds, 1)}
    versions = {"torch": torch.__version__, "lightning_saliency": lightning_saliency.__version__}
    return dict(zip(COLUMNS, key, strict=True)) | numbers | versions | {"values": " ".join(values)}


def _read(path: Path) -> dict[Key, Mapping[str, Any]]:
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {
            (row["network"], row["half"], row["question"], row["score"], row["map"]): row
            for row in csv.DictReader(file)
        }


def _write(path: Path, rows: Mapping[Key, Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    with draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(next(iter(rows.values()))), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())
    draft.replace(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/papers.csv"))
    parser.add_argument("--only", default="", help="only what has this in 'network, half, question'")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="about how long to run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args())
