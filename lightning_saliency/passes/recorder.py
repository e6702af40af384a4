"""Outputs of layers, for points that depend on them."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lightning_saliency._types import Images, Model
from lightning_saliency.passes.layers import recording


class Recorder:
    """A model, the layers that are read, and what is the same for all chunks of images.

    Args:
        model: The model.
        layers: Layers by name.
        max_batch_size: Most images in one pass.
    """

    def __init__(self, model: Model, layers: Mapping[str, nn.Module], max_batch_size: int) -> None:
        self.model = model
        self.layers = layers
        self.max_batch_size = max_batch_size
        self._results: dict[Hashable, Any] = {}

    @torch.no_grad()
    def outputs(self, images: Images, layer: str) -> Tensor:
        """Return the layer's output for each image, in the layer's own layout."""
        parts = []
        for chunk in images.split(self.max_batch_size):
            with recording({layer: self.layers[layer]}) as outputs:
                # A copy, since models may work on their input in place.
                self.model(chunk.clone())
            parts.append(output_of(outputs, layer).detach())
        return torch.cat(parts)

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Make a result that does not depend on the images, at the first call only."""
        if key not in self._results:
            self._results[key] = make()
        return self._results[key]


def output_of(outputs: Mapping[str, Tensor], name: str) -> Tensor:
    """Return a recorded output.

    Raises:
        ValueError: If the layer did not run.
    """
    if name not in outputs:
        raise ValueError(f"Expected layer {name!r} to run in the model's forward, but it did not: name another layer.")
    return outputs[name]
