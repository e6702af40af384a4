"""Compare Expected Grad-CAM and its variants with the other class activation maps, before linear and curved heads.

On CIFAR-10 images that a trained ResNet-20 classifies with more than 90 % confidence: insertion, deletion, infidelity,
sensitivity and complexity at the last stage (linear head) and one stage earlier (curved head), then the width of the
kernel and the choice of references. `LIGHTNING_SALIENCY_DATA` names the folder with images and weights.
"""

import argparse
import os
from pathlib import Path

import torch
from cifar_resnet import MEAN, STD, load_network, sure_images
from torch import Tensor, nn

from lightning_saliency import explain, score
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


def show(title: str, network: nn.Module, images: Tensor, labels: Tensor, methods: dict[str, Method], few: int) -> None:
    """Print means with standard errors; sensitivity, which explains again, on the first few images."""
    maps = explain(network, images, labels, methods)
    scores = score(network, images, maps, labels, METRICS)
    first = {name: values[:few] for name, values in maps.items()}
    again = score(network, images[:few], first, labels[:few], [MaxSensitivity()], methods=methods)
    print(f"\n{title}")
    names = [*next(iter(scores.values())), "max_sensitivity"]
    print("| method | " + " | ".join(names) + " |")
    print("| --- |" + " --- |" * len(names))
    for method, row in scores.items():
        columns = {**row, **again[method]}.values()
        cells = [
            f"{values.double().mean():.3f} ± {values.double().std() / len(values) ** 0.5:.3f}" for values in columns
        ]
        print(f"| {method} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Read the options and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    folder = os.environ.get("LIGHTNING_SALIENCY_DATA")
    parser.add_argument("--data-dir", type=Path, default=folder, required=folder is None, help="images and weights")
    parser.add_argument("--num-images", type=int, default=500, help="images to explain")
    parser.add_argument("--few", type=int, default=64, help="images for the sensitivity, which explains again")
    parser.add_argument("--layers", nargs="*", default=list(HEADS), choices=list(HEADS), help="stages to compare at")
    parser.add_argument("--ablations", action=argparse.BooleanOptionalAction, default=True, help="vary the parts")
    options = parser.parse_args()

    network = load_network(options.data_dir)
    images, labels = sure_images(network, options.data_dir)
    others = References(images[-20:])
    images, labels = images[: options.num_images], labels[: options.num_images]
    for layer in options.layers:
        title = f"{len(images)} images, {layer} ({HEADS[layer]} head)"
        show(title, network, images, labels, family(layer, others), options.few)
    if options.ablations:
        show("Ablations at layer2", network, images, labels, ablations("layer2", others), options.few)


if __name__ == "__main__":
    main()
