"""Models, images and maps that the tests of the metrics share."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lightning_saliency.metrics import ExplanationMetric
from lightning_saliency.passes.ranking import descending_order

FIRST = torch.zeros(1, dtype=torch.int64)


def certain(probability: float) -> Callable[[Tensor], Tensor]:
    """Two classes; the first has the same probability for every image."""

    def model(images: Tensor) -> Tensor:
        logit = images.new_tensor([math.log(probability / (1 - probability)), 0.0])
        return logit.expand(len(images), 2)

    return model


def summing(images: Tensor) -> Tensor:
    """Logits (0, sum of the pixels)."""
    total = images.flatten(1).sum(dim=1)
    return torch.stack([torch.zeros_like(total), total], dim=1)


def curved(channels: int = 2, classes: int = 3, seed: int = 0) -> nn.Module:
    """A small smooth network in double precision, of strong opinions."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        layers = [nn.Conv2d(channels, 6, 3, padding=1), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
        model = nn.Sequential(*layers, nn.Linear(24, classes)).double()
        with torch.no_grad():
            model[-1].weight *= 20
            model[-1].bias -= model(torch.rand(64, channels, 6, 7).double()).mean(dim=0)
    return model


def batch(size: int = 5, channels: int = 2, side: int = 6) -> tuple[Tensor, Tensor]:
    """Images in [0, 1] and targets."""
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(size, channels, side, side + 1, generator=generator, dtype=torch.float64)
    return images, torch.arange(size) % 3


def maps_of(images: Tensor, *, ties: bool) -> Tensor:
    """Random maps, of four values only with ties."""
    generator = torch.Generator().manual_seed(4)
    maps = torch.rand(images.shape[0], *images.shape[2:], generator=generator, dtype=torch.float64)
    return (maps * 4).floor() / 2 if ties else maps


def naive_order(values: list[float]) -> list[int]:
    """Positions by falling value, equal ones as the package's permutation has them."""
    shuffled = descending_order(torch.zeros(1, len(values)))[0].tolist()
    return sorted(range(len(values)), key=lambda place: (-values[place], shuffled.index(place)))


def naive_minmax(map_: Tensor) -> list[float]:
    """Scale one map to [0, 1]; zeros where it is constant."""
    low, high = map_.min(), map_.max()
    return [0.0] * map_.numel() if low == high else ((map_ - low) / (high - low)).flatten().tolist()


def naive_probability(model: Callable[[Tensor], Tensor], image: Tensor, target: int) -> float:
    """Softmax probability of one image's target."""
    with torch.no_grad():
        return model(image[None])[0].softmax(dim=0)[target].item()


def scores_of(metric: ExplanationMetric, maps: Tensor, masks: Tensor | None = None) -> Tensor:
    """Score maps by a metric that looks at nothing but these, and masks."""
    images, targets = torch.rand(len(maps), 1, *maps.shape[1:]), torch.zeros(len(maps), dtype=torch.int64)
    return metric.scores(torch.nn.Flatten(), images, maps, targets, masks=masks)
