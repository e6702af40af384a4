"""Tiny networks and images that the tests share."""

import copy
import functools

import torch
from torch import Tensor, nn

NUM_CLASSES = 4


def small_cnn(seed: int = 0, channels: int = 3, num_classes: int = NUM_CLASSES) -> nn.Sequential:
    """Two convolutions with BatchNorm, in-place ReLU and dropout; in training mode, as a Trainer keeps it."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.Dropout2d(0.2),
            nn.Conv2d(8, 6, 3, padding=1),
            nn.Softplus(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(6, num_classes),
        )
        with torch.no_grad():
            for norm in (model[1], model[4]):
                norm.running_mean.normal_(0, 0.1)
                norm.running_var.uniform_(0.5, 1.5)
            # As a trained network's, its logits differ by whole numbers: differences of theirs lose no digits.
            model[7].weight *= 20
            model[-1].weight *= 20
            model(torch.rand(4, channels, 8, 8))
    return model


def linear_model(weight: Tensor, bias: Tensor | None = None) -> nn.Sequential:
    """Logits W x + b of the flattened image, for W of shape (K, C*H*W)."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return nn.Sequential(nn.Flatten(), layer)


def tiny_vit(seed: int = 0) -> nn.Module:
    """Vision transformer of two blocks for 32x32 images: 16 patches and a class token."""
    import timm

    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
        return timm.create_model("vit_tiny_patch16_224", num_classes=NUM_CLASSES, **sizes)


def pictures(batch: int, size: int = 8, channels: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random images in [0, 1] of different ranges, with targets."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(batch, channels, size, size, generator=generator)
    contrast = torch.linspace(0.3, 1, batch).reshape(-1, 1, 1, 1)
    return images * contrast, torch.randint(0, NUM_CLASSES, (batch,), generator=generator)


def digits() -> tuple[Tensor, Tensor]:
    """Scikit-learn's handwritten digits, (1797, 1, 8, 8) in [0, 1], and their labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return torch.tensor(data.images / 16, dtype=torch.float32)[:, None], torch.tensor(data.target)


def trained_on_digits() -> nn.Sequential:
    """Return a fresh copy of a small CNN that knows the digits."""
    return copy.deepcopy(_digits_network())


@functools.cache
def _digits_network() -> nn.Sequential:
    images, labels = digits()
    model = small_cnn(channels=1, num_classes=10)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        for _ in range(8):
            for batch in torch.randperm(len(images)).split(100):
                optimizer.zero_grad(set_to_none=True)
                nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
                optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return model
