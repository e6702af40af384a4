"""Other ways to notice a shortcut on the images that a monitor watches, for comparison with the alarm.

Each returns one number that should be higher where a network follows a shortcut. None of them knows the sign.
"""

import math

import torch
from images import Images
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier
from store import accuracy
from torch import Tensor, nn
from torch.nn import functional

from lightning_saliency import explain, score
from lightning_saliency.methods import GuidedAbsoluteGrad
from lightning_saliency.metrics import RCAP, ClassSensitivity


def rivals(network: nn.Module, watched: Images, val: Images) -> dict[str, float]:
    """Compute all numbers for one network.

    Args:
        network: The network.
        watched: The images that a monitor watches.
        val: All validation images.
    """
    methods = {"map": GuidedAbsoluteGrad()}
    maps = explain(network, watched.images, watched.labels, methods)
    metrics = {"rcap": RCAP(), "class_sensitivity": ClassSensitivity()}
    scores = score(network, watched.images, maps, watched.labels, metrics, methods=methods)["map"]
    return {
        "val_accuracy": accuracy(network, val),
        "rcap": scores["rcap"].mean().item(),
        "class_sensitivity": scores["class_sensitivity"].mean().item(),
        "map_agreement": map_agreement(maps["map"], watched.labels),
        "eigengap": eigengap(maps["map"]),
        "property": label_from_a_property(val),
    }


def map_agreement(maps: Tensor, labels: Tensor) -> float:
    """Return how much more alike maps (B, H, W) of one class are than those of two."""
    rows = _pooled(maps)
    cosines = rows @ rows.T
    same = labels[:, None] == labels
    others = ~torch.eye(len(labels), dtype=torch.bool)
    return (cosines[same & others].mean() - cosines[~same].mean()).item()


def eigengap(maps: Tensor, neighbours: int = 7) -> float:
    """Return the largest gap between the first eigenvalues of a graph of nearest maps, as SpRAy looks at it."""
    rows = _pooled(maps)
    distances = torch.cdist(rows, rows)
    nearest = distances.topk(neighbours + 1, largest=False).indices[:, 1:]
    graph = torch.zeros_like(distances).scatter_(1, nearest, 1.0)
    graph = (graph + graph.T) / 2
    scale = graph.sum(dim=1).rsqrt()
    laplacian = torch.eye(len(rows)) - scale[:, None] * graph * scale
    return float(torch.linalg.eigvalsh(laplacian)[:11].diff().max())


def label_from_a_property(part: Images) -> float:
    """Return how well one property of an image tells its label, 0 for not at all, as audits of data sets ask."""
    chance = part.labels.bincount().max().item() / len(part.labels)
    best = max(_accuracy_of(column, part.labels) for column in _properties(part.images).T)
    return (best - chance) / (1 - chance)


def _pooled(maps: Tensor) -> Tensor:
    return functional.normalize(functional.adaptive_avg_pool2d(maps.float()[:, None], 8).flatten(1), dim=1)


def _accuracy_of(column: Tensor, labels: Tensor) -> float:
    tree = DecisionTreeClassifier(max_depth=6, min_samples_leaf=5, random_state=0)
    return float(cross_val_score(tree, column[:, None].numpy(), labels.numpy(), cv=5).mean())


def _properties(images: Tensor) -> Tensor:
    """Compute brightness, contrast, the channels' differences, saturation, sharpness, and information (N, 7)."""
    means, grey = images.mean(dim=(2, 3)), images.mean(dim=1)
    edges = (
        grey[:, 1:-1, 1:-1] * 4 - grey[:, :-2, 1:-1] - grey[:, 2:, 1:-1] - grey[:, 1:-1, :-2] - grey[:, 1:-1, 2:]
    ).abs()
    shares = functional.one_hot((grey * 15).long().clamp(0, 15), 16).float().mean(dim=(1, 2)).clamp(min=1e-9)
    return torch.stack(
        [
            grey.mean(dim=(1, 2)),
            grey.std(dim=(1, 2)),
            means[:, 0] - means[:, 1],
            means[:, 2] - means[:, 1],
            (images.amax(dim=1) - images.amin(dim=1)).mean(dim=(1, 2)),
            edges.mean(dim=(1, 2)),
            -(shares * shares.log()).sum(dim=1) / math.log(16),
        ],
        dim=1,
    )
