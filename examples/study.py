"""Do the methods hold up beyond the papers' networks? Digits on textured canvases, five kinds of networks.

Trains small timm networks on digits whose place is known, and tabulates RCAP, allegiance, localisation and
time of each method, and how localisation depends on the digit's size, texture and occlusion. Nothing is
downloaded. Writes `study.csv` and `study.png`.
"""

import argparse
import csv
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib.figure
import timm
import torch
from textured_digits import TexturedDigits, groups, textured_digits
from torch import Tensor, nn
from torch.nn import functional

from lightning_saliency import explain, score
from lightning_saliency.methods import (
    ActiveGradient,
    ExpectedGradCAM,
    GradCAM,
    GradCAMPlusPlus,
    Gradient,
    GuidedAbsoluteGrad,
    IntegratedGradients,
    Method,
    PositiveGradient,
    RandomMap,
    SmoothGrad,
    VarGrad,
)
from lightning_saliency.metrics import RCAP, Allegiance, PointingGame, RelevanceMass

NETWORKS: dict[str, dict[str, Any]] = {
    "resnet10t": {"output_stride": 8},
    "mobilenetv2_050": {"output_stride": 8},
    "vgg11_bn": {},
    "convnext_atto": {},
    "vit_tiny_patch16_224": {"img_size": 48, "patch_size": 8, "depth": 4},
}
METRICS = [RCAP(), Allegiance(), RelevanceMass(), PointingGame()]
Row = dict[str, str]


METHODS: dict[str, Method] = {
    "gradient": Gradient(),
    "positive_gradient": PositiveGradient(),
    "active_gradient": ActiveGradient(),
    "integrated_gradients": IntegratedGradients(baseline="black"),
    "smooth_grad": SmoothGrad(),
    "var_grad": VarGrad(),
    "guided_absolute_grad": GuidedAbsoluteGrad(),
    "grad_cam": GradCAM(),
    "grad_cam_plus_plus": GradCAMPlusPlus(),
    "random": RandomMap(),
}


def train(name: str, data: TexturedDigits, epochs: int) -> nn.Module:
    """Train a network from scratch."""
    torch.manual_seed(0)
    network: nn.Module = timm.create_model(name, num_classes=10, **NETWORKS[name])
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=epochs * (len(data.labels) // 64))
    for _ in range(epochs):
        order = torch.randperm(len(data.labels))
        for chosen in order.split(64):
            if len(chosen) < 64:
                continue
            optimizer.zero_grad()
            functional.cross_entropy(network(data.images[chosen]), data.labels[chosen]).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, data: TexturedDigits) -> float:
    """Share of images classified right."""
    predicted = torch.cat([network(images).argmax(dim=1) for images in data.images.split(256)])
    return (predicted == data.labels).float().mean().item()


def seconds_of(method: Method, network: nn.Module, data: TexturedDigits) -> float:
    """Time of one method alone, per image."""
    started = time.perf_counter()
    explain(network, data.images, data.labels, [method])
    return (time.perf_counter() - started) / len(data.labels)


def mean_with_error(values: Tensor) -> str:
    """Write a mean with its standard error; values that are not finite are left out."""
    found = values[values.isfinite()]
    error = found.std(correction=min(1, len(found) - 1)) / len(found) ** 0.5
    return f"{found.mean():.3f} ± {error:.3f}"


def study(name: str, train_data: TexturedDigits, test_data: TexturedDigits, epochs: int) -> tuple[list[Row], list[Row]]:
    """Return scores by method, and localisation by method and group."""
    network = train(name, train_data, epochs)
    methods = {"expected_grad_cam": ExpectedGradCAM(references=train_data.images[:20]), **METHODS}
    right = accuracy(network, test_data)
    maps = explain(network, test_data.images, test_data.labels, methods)
    scores = score(network, test_data.images, maps, test_data.labels, METRICS, masks=test_data.masks)
    table: list[Row] = []
    details: list[Row] = []
    for method_name, method in methods.items():
        found = scores[method_name]
        head: Row = {"network": name, "accuracy": f"{right:.3f}", "method": method_name}
        timed = {"ms per image": f"{1000 * seconds_of(method, network, test_data):.1f}"}
        table.append({**head, **{metric: mean_with_error(values) for metric, values in found.items()}, **timed})
        mass = {group: mean_with_error(found["relevance_mass"][chosen]) for group, chosen in groups(test_data)}
        details.append({**head, **mass})
    return table, details


def show(rows: Iterable[Row]) -> None:
    """Print a Markdown table."""
    rows = list(rows)
    print("| " + " | ".join(rows[0]) + " |")
    print("| " + " | ".join("---" for _ in rows[0]) + " |")
    for row in rows:
        print("| " + " | ".join(row.values()) + " |")


def plot(rows: list[Row], path: Path) -> None:
    """Draw RCAP and relevance mass of each method, one group of bars a network."""
    figure = matplotlib.figure.Figure(figsize=(11, 6), layout="constrained")
    names = list(dict.fromkeys(row["method"] for row in rows))
    networks = list(dict.fromkeys(row["network"] for row in rows))
    for place, metric in enumerate(("rcap", "relevance_mass")):
        axes = figure.add_subplot(2, 1, place + 1)
        for offset, method in enumerate(names):
            found = [row[metric].split(" ± ") for row in rows if row["method"] == method]
            means, errors = ([float(part[side]) for part in found] for side in (0, 1))
            places = [network + (offset - len(names) / 2) * 0.09 for network in range(len(networks))]
            axes.bar(places, means, 0.09, yerr=errors, label=method)
        axes.set_xticks(range(len(networks)), networks)
        axes.set_ylabel(metric.replace("_", " "))
    figure.axes[0].legend(ncols=5, fontsize="small")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Read the options and study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS), help="timm networks")
    parser.add_argument("--epochs", type=int, default=6, help="epochs of training")
    parser.add_argument("--train-images", type=int, default=6000, help="training images")
    parser.add_argument("--num-images", type=int, default=128, help="test images to explain")
    parser.add_argument("--output", type=Path, default=Path("runs/study"), help="folder for the table and the plot")
    options = parser.parse_args()

    train_data, test_data = textured_digits(options.train_images, 0), textured_digits(options.num_images, 1)
    rows, details = [], []
    for name in options.networks:
        table, by_group = study(name, train_data, test_data, options.epochs)
        rows += table
        details += by_group
        show(table)
    print("\nRelevance mass by size, texture and occlusion:")
    show(details)
    options.output.mkdir(parents=True, exist_ok=True)
    with (options.output / "study.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    plot(rows, options.output / "study.png")


if __name__ == "__main__":
    main()
