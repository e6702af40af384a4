"""Further arguments of a network, each row of which belongs to an image."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lightning_saliency._types import Images
from lightning_saliency.monitor.batches import LabelledImages


def with_extras(network: nn.Module, extras: tuple[Tensor, ...]) -> nn.Module:
    """Return a network from images alone, that passes the rows of these images on as further arguments.

    Args:
        network: A network from images and further arguments.
        extras: Further arguments (B, ...) of B images, which a pass may hold several times, one batch after the other.
    """
    return _Supplied(network, extras) if extras else network


def apart(batches: Iterable[LabelledImages]) -> Iterator[LabelledImages]:
    """Yield batches with further arguments image by image.

    All rows of a pass then belong to one image, however a method arranges them.
    """
    for batch in batches:
        if not batch.extras:
            yield batch
            continue
        for row, index in enumerate(batch.indices):
            yield batch.each(lambda part, row=row: part[row : row + 1], [index])  # type: ignore[misc]


class _Supplied(nn.Module):
    """A network that gets its further arguments from here."""

    def __init__(self, network: nn.Module, extras: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.network = network
        self.extras = extras

    def forward(self, images: Images) -> Any:
        """Pass the images on with rows of their own."""
        rows = torch.arange(len(images), device=images.device) % len(self.extras[0])
        return self.network(images, *(extra[rows] for extra in self.extras))

    def named_modules(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Module]]:
        """List the network's modules by the names that they have without this wrapper."""
        modules: Iterator[tuple[str, nn.Module]] = self.network.named_modules(*args, **kwargs)
        return modules
