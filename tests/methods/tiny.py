"""Networks small enough to compute by hand, and ways to give methods chosen gradients."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_saliency.passes.statistics import Observation


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Sequential:
    """Logits W x + b of the flattened image."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(torch.zeros(len(weight)) if bias is None else bias)
    return nn.Sequential(nn.Flatten(), layer)


def network(channels: int = 3, classes: int = 5, dims: int = 2, *, smooth: bool = False) -> nn.Sequential:
    """A random network of two convolutions in float64, for any size and number of dimensions."""
    convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    pooling = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)[dims - 1]
    activation = nn.Softplus if smooth else nn.ReLU
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        layers = [convolution(channels, 6, 3, padding=1), activation(), convolution(6, 6, 3, padding=1), activation()]
        return nn.Sequential(*layers, pooling(2), nn.Flatten(), nn.Linear(6 * 2**dims, classes)).double()


def pictures(count: int = 4, channels: int = 3, size: Sequence[int] = (6, 8), seed: int = 0) -> Tensor:
    """Random float64 images in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, *size, generator=generator, dtype=torch.float64)


def map_from(method, gradients: Sequence[Tensor]) -> Tensor:
    """Make a method's map of gradients (C, *S) without a model."""
    values = []
    for reading in method.readings:
        state = None
        for gradient in gradients:
            batch = gradient[None]
            observation = Observation(batch, batch, torch.zeros(1), 1 / len(gradients), None, 0)
            state = reading.statistic.update(state, observation)
        values.append(reading.statistic.value(state))
    return method.formula(gradients[0][None], *values)


class Counting(nn.Module):
    """A network that counts the images of its forwards and the rows of gradient of its backwards."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.forwards = self.backwards = self.largest = 0

    def forward(self, images: Tensor) -> Tensor:
        self.forwards += len(images)
        self.largest = max(self.largest, len(images))
        if images.requires_grad:
            images = images.clone()
            images.register_hook(self._count)
        return self.inner(images)

    def _count(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)
