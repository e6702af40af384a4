"""Networks of the shortcut studies, for images (B, 3, H, W) in [0, 1]: all but `lite0` small ones, for 32 pixels."""

import os
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import Normalize

# Studies import modules of the folder above.
sys.path.append(str(Path(__file__).parents[1]))

from bundled_networks import flat_network, gap_network
from cifar_resnet import MEAN, STD, load_network


def build(name: str, num_classes: int) -> nn.Module:
    """Return a network with its first weights.

    Those of `resnet20` are trained on CIFAR-10, those of `lite0` on ImageNet, except for the last layer.
    """
    if name == "flat":
        return flat_network(num_classes)
    if name == "gap":
        return gap_network(num_classes)
    if name == "lite0":
        return _lite0(num_classes)
    return SmallViT(num_classes) if name == "vit" else _trained_trunk(num_classes)


class SmallViT(nn.Module):
    """A vision transformer of two blocks on patches of eight pixels."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 48, 8, stride=8)
        self.place = nn.Parameter(0.02 * torch.randn(1, 16, 48))
        layers = [nn.TransformerEncoderLayer(48, 4, 96, 0.0, "gelu", True, norm_first=True) for _ in range(2)]
        self.blocks = nn.Sequential(*layers, nn.LayerNorm(48))
        self.head = nn.Linear(48, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K)."""
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.place
        logits: Tensor = self.head(self.blocks(tokens).mean(dim=1))
        return logits


def _trained_trunk(num_classes: int) -> nn.Module:
    network = load_network(Path(os.environ["LIGHTNING_SALIENCY_DATA"])).requires_grad_(True)
    network.linear = nn.Linear(64, num_classes)
    return nn.Sequential(Normalize(MEAN, STD), network)


def _lite0(num_classes: int) -> nn.Module:
    import imagenet  # needs a wheel

    network = imagenet.load_lite0()
    network.classifier = nn.Linear(imagenet.WIDTH, num_classes)
    return nn.Sequential(Normalize(imagenet.MEAN, imagenet.STD), network)
