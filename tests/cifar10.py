"""The trained CIFAR-10 ResNet-20 and images that it is sure of, found through LIGHTNING_SALIENCY_DATA."""

import functools
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VARIABLE = "LIGHTNING_SALIENCY_DATA"
CONFIDENCE = 0.9

needs_cifar10 = pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} does not say where CIFAR-10 is")


class Block(nn.Module):
    """Two convolutions and a shortcut that pads channels with zeros."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
        self.padding, self.stride = (after - before) // 2, stride

    def forward(self, x: Tensor) -> Tensor:
        shortcut = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding))
        return (self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())) + shortcut).relu()


class ResNet20(nn.Module):
    """Three stages of three blocks, global average pooling, one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(Block(16, 16, 1) for _ in range(3)))
        self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(x)).relu())))
        return self.linear(x.mean(dim=(2, 3)))


def folder() -> Path:
    return Path(os.environ[VARIABLE]) / "cifar10"


@functools.cache
def cifar10_network() -> nn.Module:
    """The trained network, in evaluation mode."""
    states = torch.load(folder() / "resnet20-12fca82f.th", map_location="cpu", weights_only=True)["state_dict"]
    network = ResNet20().eval()
    network.load_state_dict({name.removeprefix("module."): state for name, state in states.items()})
    return network


@functools.cache
def confident_images(count: int) -> tuple[Tensor, Tensor]:
    """Normalised test images, class by class in turn, whose label has more than 90 % probability."""
    by_class = [sorted(path.glob("*.jpg")) for path in sorted((folder() / "test").iterdir())]
    paths = [path for row in zip(*by_class, strict=True) for path in row]
    raw = torch.stack([torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1) for path in paths]) / 255
    images = (raw - torch.tensor(MEAN).reshape(3, 1, 1)) / torch.tensor(STD).reshape(3, 1, 1)
    labels = torch.arange(len(by_class)).repeat(len(by_class[0]))
    with torch.no_grad():
        probabilities = torch.cat([cifar10_network()(chunk).softmax(dim=1) for chunk in images.split(100)])
    sure = (probabilities.gather(1, labels[:, None])[:, 0] > CONFIDENCE).nonzero()[:count, 0]
    return images[sure], labels[sure]
