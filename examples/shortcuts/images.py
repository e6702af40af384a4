"""Images and labels of the shortcut studies: scikit-learn's digits and parts of CIFAR-10, in [0, 1]."""

import os
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

CLASSES: Final[dict[str, tuple[int, ...]]] = {
    "digits": tuple(range(10)),
    "cifar": tuple(range(10)),
    "animals": (2, 3, 4, 5, 7),
    "vehicles": (0, 1, 8, 9),
    "even": (0, 2, 4, 6, 8),
    "pair": (3, 5),
    "enlarged": tuple(range(10)),
}
"""Classes of each domain; `even` are digits, all but `digits` and `even` of CIFAR-10, `enlarged` at 112 px."""
ENLARGED_SIDE: Final = 112
NUM_ENLARGED: Final = 1000


class Images(NamedTuple):
    """Images (N, 3, H, W) with labels (N,) that count from zero."""

    images: Tensor
    labels: Tensor


class Domain(NamedTuple):
    """Images to train on, to validate on, and to test on."""

    train: Images
    val: Images
    test: Images


@cache
def read_domain(name: str) -> Domain:
    """Read the images of a domain.

    Raises:
        KeyError: If it is of CIFAR-10, and `LIGHTNING_SALIENCY_DATA` does not say where these are.
    """
    domain = _digits() if name in ("digits", "even") else _cifar()
    parts = [_of_classes(part, CLASSES[name]) for part in domain]
    return Domain(*map(_enlarged, parts)) if name == "enlarged" else Domain(*parts)


def _of_classes(part: Images, classes: tuple[int, ...]) -> Images:
    kept = torch.isin(part.labels, torch.tensor(classes))
    labels = torch.tensor([classes.index(int(label)) for label in part.labels[kept]])
    return Images(part.images[kept], labels)


def _enlarged(part: Images) -> Images:
    images, labels = part.images[:NUM_ENLARGED], part.labels[:NUM_ENLARGED]
    return Images(functional.interpolate(images, size=ENLARGED_SIDE, mode="bicubic").clamp(0, 1), labels)


@cache
def _digits() -> Domain:
    scans, targets = load_digits(return_X_y=True)
    small = torch.tensor(scans, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    images = functional.pad(functional.interpolate(small, size=(24, 24), mode="bilinear"), (4, 4, 4, 4))
    labels = torch.tensor(targets)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    parts = [Images(images[rows].expand(-1, 3, -1, -1), labels[rows]) for rows in order.split([1000, 400, 397])]
    return Domain(*parts)


@cache
def _cifar() -> Domain:
    folder = Path(os.environ["LIGHTNING_SALIENCY_DATA"]) / "cifar10"
    labelled = _read_folder(folder / "train")
    order = torch.randperm(len(labelled.images), generator=torch.Generator().manual_seed(0))
    train, val = (Images(labelled.images[rows], labelled.labels[rows]) for rows in order.split([4000, 1000]))
    return Domain(train, val, _read_folder(folder / "test"))


def _read_folder(folder: Path) -> Images:
    images, labels = [], []
    for label, path in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        for file in sorted(path.glob("*.jpg")):
            images.append(torch.tensor(np.asarray(Image.open(file))).permute(2, 0, 1))
            labels.append(label)
    return Images(torch.stack(images).float() / 255, torch.tensor(labels))
