"""Methods on other networks than the papers': digits on textured canvases, five kinds of networks.

Trains small timm networks on digits whose position is labelled, and tabulates RCAP, allegiance, localisation and
time of each method, how localisation depends on the digit's size, texture and occlusion, and how class
activation maps change one stage before the last. Nothing is downloaded. Writes `study.csv` and `study.png`.
"""

import argparse
import csv
import time
from collections.abc import Iterable
from pathlib import Path

import matplotlib.figure
import torch
from matplotlib import colormaps
from study_networks import NETWORKS, accuracy, train
from textured_digits import TexturedDigits, groups, textured_digits
from torch import Tensor, nn

from lightning_saliency import __version__, explain, score
from lightning_saliency.methods import (
    ActiveGradient,
    ExpectedGradCAM,
    GradCAM,
    GradCAMPlusPlus,
    Gradient,
    GuidedAbsoluteGrad,
    IntegratedGradCAM,
    IntegratedGradients,
    Method,
    PositiveGradient,
    RandomMap,
    SmoothGrad,
    SmoothGradCAMPlusPlus,
    VarGrad,
)
from lightning_saliency.metrics import RCAP, Allegiance, PointingGame, RelevanceMass

METRICS = [RCAP(), Allegiance()]
LOCALISATION = [RelevanceMass(), PointingGame()]
TIMED = 16
Row = dict[str, str]


METHODS: dict[str, Method] = {
    "gradient": Gradient(),
    "positive_gradient": PositiveGradient(),
    "active_gradient": ActiveGradient(),
    "integrated_gradients": IntegratedGradients(baseline="black"),
    "smooth_grad": SmoothGrad(),
    "var_grad": VarGrad(),
    "guided_absolute_grad": GuidedAbsoluteGrad(),
}


def cams(references: Tensor, layer: str | None = None) -> dict[str, Method]:
    """Return the class activation maps that are compared at two stages."""
    return {
        "grad_cam": GradCAM(layer),
        "grad_cam_plus_plus": GradCAMPlusPlus(layer),
        "smooth_grad_cam_plus_plus": SmoothGradCAMPlusPlus(layer),
        "integrated_grad_cam": IntegratedGradCAM(layer, baseline="black"),
        "expected_grad_cam": ExpectedGradCAM(layer, references),
    }


def seconds_of(method: Method, network: nn.Module, data: TexturedDigits) -> float:
    """Time of one method alone, per image, on a few of them."""
    images, labels = data.images[:TIMED], data.labels[:TIMED]
    started = time.perf_counter()
    explain(network, images, labels, [method])
    return (time.perf_counter() - started) / len(labels)


def mean_with_error(values: Tensor) -> str:
    """Write a mean with its standard error; values that are not finite are left out."""
    finite = values[values.isfinite()]
    error = finite.std(correction=min(1, len(finite) - 1)) / len(finite) ** 0.5
    return f"{finite.mean():.3f} ± {error:.3f}"


def study(name: str, train_data: TexturedDigits, test_data: TexturedDigits, epochs: int | None) -> list[list[Row]]:
    """Return three tables: scores by method, localisation by method and group, and by stage."""
    network = train(name, train_data, epochs)
    references = train_data.images[:20]
    methods = {**METHODS, **cams(references), "random": RandomMap()}
    earlier = {f"{method}, earlier": cam for method, cam in cams(references, NETWORKS[name].earlier).items()}
    images, labels, masks = test_data[:3]
    maps = explain(network, images, labels, {**methods, **earlier})
    scores = score(network, images, {method: maps[method] for method in methods}, labels, METRICS, masks=masks)
    where = score(network, images, maps, labels, LOCALISATION, masks=masks)
    head = {"network": name, "accuracy": f"{accuracy(network, test_data):.3f}"}
    table = [
        {
            **head,
            "method": method_name,
            **{
                metric: mean_with_error(values)
                for metric, values in {**scores[method_name], **where[method_name]}.items()
            },
            "ms per image": f"{1000 * seconds_of(method, network, test_data):.1f}",
        }
        for method_name, method in methods.items()
    ]
    mass = {method: row["relevance_mass"] for method, row in where.items()}
    by_group = [
        {**head, "method": method, **{group: mean_with_error(mass[method][some]) for group, some in groups(test_data)}}
        for method in methods
    ]
    by_stage = [
        {**head, "method": method, "last stage": mean_with_error(mass[method]), "earlier": mean_with_error(other)}
        for method, other in ((name.removesuffix(", earlier"), mass[name]) for name in earlier)
    ]
    return [table, by_group, by_stage]


def show(rows: Iterable[Row]) -> None:
    """Print a Markdown table."""
    rows = list(rows)
    print("| " + " | ".join(rows[0]) + " |")
    print("| " + " | ".join("---" for _ in rows[0]) + " |")
    for row in rows:
        print("| " + " | ".join(row.values()) + " |")


def plot(rows: list[Row], path: Path) -> None:
    """Draw RCAP and relevance mass of each method, one group of bars per network."""
    figure = matplotlib.figure.Figure(figsize=(11, 6), layout="constrained")
    names = list(dict.fromkeys(row["method"] for row in rows))
    networks = list(dict.fromkeys(row["network"] for row in rows))
    width = 0.8 / len(names)
    for place, metric in enumerate(("rcap", "relevance_mass")):
        axes = figure.add_subplot(2, 1, place + 1)
        for offset, method in enumerate(names):
            cells = [row[metric].split(" ± ") for row in rows if row["method"] == method]
            means, errors = ([float(part[side]) for part in cells] for side in (0, 1))
            places = [network + (offset - len(names) / 2) * width for network in range(len(networks))]
            axes.bar(places, means, width, yerr=errors, label=method, color=colormaps["tab20"](offset))
        axes.set_xticks(range(len(networks)), networks)
        axes.set_ylabel(metric.replace("_", " "))
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize="small")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Read the options and study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS), help="timm networks")
    parser.add_argument("--epochs", type=int, help="epochs of training; by default each network has its number")
    parser.add_argument("--train-images", type=int, default=6000, help="training images")
    parser.add_argument("--num-images", type=int, default=128, help="test images to explain")
    parser.add_argument("--output", type=Path, default=Path("runs/study"), help="folder for the table and the plot")
    options = parser.parse_args()

    train_data, test_data = textured_digits(options.train_images, 0), textured_digits(options.num_images, 1)
    tables: list[list[Row]] = [[], [], []]
    for name in options.networks:
        for table, rows in zip(tables, study(name, train_data, test_data, options.epochs), strict=True):
            table.extend(rows)
        show(row for row in tables[0] if row["network"] == name)
    print("\nRelevance mass by size, texture and occlusion:")
    show(tables[1])
    print("\nRelevance mass of class activation maps at the last stage and one stage earlier:")
    show(tables[2])
    options.output.mkdir(parents=True, exist_ok=True)
    with (options.output / "study.csv").open("w", newline="") as file:
        versions = {"torch": torch.__version__, "lightning_saliency": __version__}
        writer = csv.DictWriter(file, [*tables[0][0], *versions])
        writer.writeheader()
        writer.writerows({**row, **versions} for row in tables[0])
    plot(tables[0], options.output / "study.png")


if __name__ == "__main__":
    main()
