"""The CIFAR-10 test images and the trained ResNet-20 that tests with real data share."""

import functools
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class Block(nn.Module):
    """Two convolutions beside a shortcut without parameters: every second pixel, zeros for new channels."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outer)
        self.stride, self.new_channels = stride, outer - inner

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = self.bn2(self.conv2(self.bn1(self.conv1(inputs)).relu()))
        kept = inputs[..., :: self.stride, :: self.stride]
        padding = (0, 0, 0, 0, self.new_channels // 2, self.new_channels // 2)
        return (outputs + nn.functional.pad(kept, padding)).relu()


class ResNet20(nn.Module):
    """ResNet-20 for 32x32 images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16, 1), Block(16, 16, 1), Block(16, 16, 1))
        self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.linear = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        features = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(images)).relu())))
        return self.linear(features.mean(dim=(2, 3)))


class Confident(NamedTuple):
    """A trained network and images that it classifies correctly with more than 90 % confidence."""

    model: ResNet20
    images: Tensor
    targets: Tensor


def confident(count: int) -> Confident:
    """Take the first images of all classes in turn, or skip the test where there are no data."""
    folder = os.environ.get("LIGHTNING_SALIENCY_DATA")
    if not folder:
        pytest.skip("needs LIGHTNING_SALIENCY_DATA, the folder with CIFAR-10 images and network")
    model, images, targets = _loaded(folder)
    return Confident(model, images[:count], targets[:count])


@functools.cache
def _loaded(folder: str) -> Confident:
    root = Path(folder) / "cifar10"
    state = torch.load(root / "resnet20-12fca82f.th", map_location="cpu", weights_only=True)["state_dict"]
    model = ResNet20()
    model.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    model.eval()
    classes = sorted(path for path in (root / "test").iterdir() if path.is_dir())
    paths = [sorted(path.glob("*.jpg")) for path in classes]
    pixels = np.stack([np.asarray(Image.open(path)) for turn in zip(*paths, strict=True) for path in turn])
    raw = torch.tensor(pixels).permute(0, 3, 1, 2).float() / 255
    images = (raw - torch.tensor(MEAN).reshape(1, 3, 1, 1)) / torch.tensor(STD).reshape(1, 3, 1, 1)
    targets = torch.arange(len(classes)).repeat(len(images) // len(classes))
    with torch.no_grad():
        certain = model(images).softmax(dim=1).gather(1, targets[:, None])[:, 0] > 0.9
    return Confident(model, images[certain].contiguous(), targets[certain])


def paired(better: Tensor, worse: Tensor) -> float:
    """Mean difference of two scores of the same images, in units of its standard error."""
    difference = (better - worse).double()
    return float(difference.mean() / (difference.std() / len(difference) ** 0.5))
