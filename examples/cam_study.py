"""Compare Expected Grad-CAM and its variants with the other class activation maps, before linear and curved heads.

On CIFAR-10 images that a trained ResNet-20 classifies with more than 90 % confidence: insertion, deletion, infidelity,
sensitivity and complexity at the last stage (linear head) and one stage earlier (curved head), then the width of the
kernel and the choice of references. `LIGHTNING_SALIENCY_DATA` names the folder with images and weights.
`studies/claims_tables.py` makes the tables of the documents from the rows. Parts that the output has already are kept,
so that the study can be interrupted.
"""

import argparse
import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from cifar_resnet import MEAN, STD, load_network, sure_images
from torch import Tensor, nn

from lightning_saliency import __version__, explain, score
from lightning_saliency.methods import (
    ExpectedGradCAM,
    GradCAM,
    GradCAMPlusPlus,
    IntegratedGradCAM,
    Method,
    RandomMap,
    SmoothGradCAMPlusPlus,
)
from lightning_saliency.metrics import Complexity, Deletion, Infidelity, Insertion, MaxSensitivity
from lightning_saliency.passes.references import References

HEADS = {"layer3": "linear", "layer2": "curved"}
METRICS = [
    Insertion(mean=MEAN, std=STD),
    Deletion(canvas="black", mean=MEAN, std=STD),
    Infidelity(mean=MEAN, std=STD),
    Complexity(),
]


class Row(NamedTuple):
    """Mean score of a method by a metric."""

    part: str
    method: str
    metric: str
    mean: float
    stderr: float
    images: int


def family(layer: str, others: References) -> dict[str, Method]:
    """List the methods that are compared at a layer."""
    return {
        "Grad-CAM": GradCAM(layer),
        "Grad-CAM++": GradCAMPlusPlus(layer),
        "Smooth Grad-CAM++": SmoothGradCAMPlusPlus(layer),
        "Integrated Grad-CAM": IntegratedGradCAM(layer, baseline="black", mean=MEAN, std=STD),
        "Expected Grad-CAM": ExpectedGradCAM(layer, others),
        "... pooled": ExpectedGradCAM(layer, others, pool=True),
        "... input path": ExpectedGradCAM(layer, others, path="input"),
        "random": RandomMap(),
    }


def around_the_image(layer: str) -> Method:
    """Take noise around each image for its references, which are then different for every image."""
    noise = 0.15 * torch.randn(20, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def explain_each(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        each = zip(images, targets, strict=True)
        return torch.cat(
            [
                ExpectedGradCAM(layer, image + noise * (image.max() - image.min()))(model, image[None], target[None])
                for image, target in each
            ]
        )

    return explain_each


def ablations(layer: str, others: References) -> dict[str, Method]:
    """Vary the kernel's width and the references."""
    black = (-torch.tensor(MEAN) / torch.tensor(STD)).reshape(1, 3, 1, 1).expand(1, 3, 32, 32).contiguous()
    widths = {f"smoothing {width}": ExpectedGradCAM(layer, others, smoothing=width) for width in (0.05, 0.15, 0.3)}
    return {
        "smoothing 0, references: other images": ExpectedGradCAM(layer, others),
        **widths,
        "references: black": ExpectedGradCAM(layer, black),
        "references: mean colour": ExpectedGradCAM(layer, torch.zeros(1, 3, 32, 32)),
        "references: noise around the image": around_the_image(layer),
    }


def compare(
    part: str, network: nn.Module, images: Tensor, labels: Tensor, methods: dict[str, Method], few: int
) -> Iterator[Row]:
    """Yield means with standard errors; sensitivity, which explains again, of the first few images."""
    maps = explain(network, images, labels, methods)
    scores = score(network, images, maps, labels, METRICS)
    first = {name: values[:few] for name, values in maps.items()}
    again = score(network, images[:few], first, labels[:few], [MaxSensitivity()], methods=methods)
    for method in methods:
        for metric, values in {**scores[method], **again[method]}.items():
            mean, stderr = values.double().mean().item(), values.double().std().item() / len(values) ** 0.5
            yield Row(part, method, metric, round(mean, 5), round(stderr, 5), len(values))


def show(rows: list[Row]) -> None:
    """Print a Markdown table."""
    print(f"\n{rows[0].part}")
    metrics = list(dict.fromkeys(row.metric for row in rows))
    print("| method | " + " | ".join(metrics) + " |")
    print("| --- |" + " --- |" * len(metrics))
    for method in dict.fromkeys(row.method for row in rows):
        cells = [f"{row.mean:.3f} ± {row.stderr:.3f}" for row in rows if row.method == method]
        print(f"| {method} | " + " | ".join(cells) + " |", flush=True)


def read(path: Path) -> list[Row]:
    """Read the rows that are there."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Row(row["part"], row["method"], row["metric"], float(row["mean"]), float(row["stderr"]), int(row["images"]))
            for row in csv.DictReader(file)
        ]


def write(path: Path, rows: list[Row]) -> None:
    """Write the rows as CSV, with the versions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*Row._fields, "torch", "lightning_saliency"])
        writer.writerows([*row, torch.__version__, __version__] for row in rows)


def main() -> None:
    """Read the options and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    folder = os.environ.get("LIGHTNING_SALIENCY_DATA")
    parser.add_argument("--data-dir", type=Path, default=folder, required=folder is None, help="images and weights")
    parser.add_argument("--num-images", type=int, default=500, help="images to explain")
    parser.add_argument("--few", type=int, default=64, help="images for the sensitivity, which explains again")
    parser.add_argument("--layers", nargs="*", default=list(HEADS), choices=list(HEADS), help="stages to compare at")
    parser.add_argument("--ablations", action=argparse.BooleanOptionalAction, default=True, help="vary the parts")
    parser.add_argument("--output", type=Path, default=Path("runs/cam_study.csv"), help="where the rows are written")
    options = parser.parse_args()

    network = load_network(options.data_dir)
    images, labels = sure_images(network, options.data_dir)
    others = References(images[-20:])
    images, labels = images[: options.num_images], labels[: options.num_images]
    parts = {f"{layer}, {HEADS[layer]} head": family(layer, others) for layer in options.layers}
    if options.ablations:
        parts["ablations at layer2"] = ablations("layer2", others)
    rows = read(options.output)
    missing = [part for part in parts if part not in {row.part for row in rows}]
    for part in missing:
        rows += compare(part, network, images, labels, parts[part], options.few)
        write(options.output, rows)
    for part in parts:
        show([row for row in rows if row.part == part])


if __name__ == "__main__":
    main()
