"""A trained ResNet-20 and the CIFAR-10 test images of which it is sure, read from a folder.

The folder holds `cifar10/test/<class>/*.jpg` and `cifar10/resnet20-12fca82f.th`, the weights of
https://github.com/akamaster/pytorch_resnet_cifar10; `LIGHTNING_SALIENCY_DATA` names the folder.
"""

from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import transforms
from torchvision.datasets import ImageFolder

MEAN: Final = (0.485, 0.456, 0.406)
STD: Final = (0.229, 0.224, 0.225)


def conv(inner: int, outer: int, stride: int = 1) -> nn.Conv2d:
    """Make a 3x3 convolution."""
    return nn.Conv2d(inner, outer, 3, stride, padding=1, bias=False)


class Block(nn.Module):
    """A basic block whose shortcut has no parameters."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(inner, outer, stride), nn.BatchNorm2d(outer)
        self.conv2, self.bn2 = conv(outer, outer), nn.BatchNorm2d(outer)
        self.stride, self.extra = stride, (outer - inner) // 2

    def forward(self, inputs: Tensor) -> Tensor:
        """Add the block to every `stride`-th pixel, new channels to zeros."""
        skipped = inputs[:, :, :: self.stride, :: self.stride]
        shortcut = functional.pad(skipped, (0, 0, 0, 0, self.extra, self.extra))
        outputs: Tensor = (shortcut + self.bn2(self.conv2(self.bn1(self.conv1(inputs)).relu()))).relu()
        return outputs


class ResNet20(nn.Module):
    """Three stages of three blocks, 16, 32 and 64 channels wide."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(3, 16), nn.BatchNorm2d(16)
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(Block(inner, outer, stride), Block(outer, outer, 1), Block(outer, outer, 1))
            for inner, outer, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2))
        )
        self.linear = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, 10)."""
        features = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(images)).relu())))
        logits: Tensor = self.linear(features.mean(dim=(2, 3)))
        return logits


def load_network(folder: Path) -> ResNet20:
    """Load the trained weights."""
    state = torch.load(folder / "cifar10" / "resnet20-12fca82f.th", map_location="cpu", weights_only=True)
    network = ResNet20()
    network.load_state_dict({name.removeprefix("module."): value for name, value in state["state_dict"].items()})
    return network.eval().requires_grad_(False)


@torch.no_grad()
def sure_images(network: nn.Module, folder: Path) -> tuple[Tensor, Tensor]:
    """Return, shuffled, the normalised images whose class has more than 90 % probability, and their labels."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    data = ImageFolder(str(folder / "cifar10" / "test"), transform)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0)).tolist()
    images = torch.stack([data[index][0] for index in order])
    labels = torch.tensor([data.targets[index] for index in order])
    confidence = torch.cat([network(part).softmax(dim=1) for part in images.split(250)])
    sure = confidence.gather(1, labels[:, None])[:, 0] > 0.9
    return images[sure], labels[sure]
