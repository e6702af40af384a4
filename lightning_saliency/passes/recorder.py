"""Outputs of layers: recorded while a network runs, and replaced."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lightning_saliency._checks import warn_once
from lightning_saliency._types import Images, Model
from lightning_saliency.passes.grids import as_grid, has_grid, has_tokens_first
from lightning_saliency.passes.layers import LAST_CALL, Layer, LayerName, no_such_call, several_calls


class Recorder:
    """A model, the layers that are read, and what is the same for all chunks of images.

    Args:
        model: The model.
        layers: Layers by name.
        max_batch_size: Most images in one pass.
    """

    def __init__(self, model: Model, layers: Mapping[LayerName, Layer], max_batch_size: int) -> None:
        self.model = model
        self.max_batch_size = max_batch_size
        self._layers = dict(layers)
        self._results: dict[Hashable, Any] = {}

    @torch.no_grad()
    def outputs(self, images: Images, layer: LayerName) -> Tensor:
        """Return the layer's output for each image, images first, else in the layer's own layout."""
        parts = []
        for chunk in images.split(self.max_batch_size):
            with self.recording(chunk, [layer]) as outputs:
                # A copy, since models may work on their input in place.
                self.model(chunk.clone())
            parts.append(outputs[layer].detach())
        return torch.cat(parts)

    @contextmanager
    def recording(
        self, images: Images, names: Iterable[LayerName], replacements: Mapping[LayerName, Tensor] | None = None
    ) -> Iterator[dict[LayerName, Tensor]]:
        """Record the layers' outputs, images first, while the network runs in the block on these images.

        Where a layer has a replacement, that is recorded and used instead of its output. The network continues with
        a copy, since a later in-place activation would overwrite the recorded output.

        Raises:
            ValueError: After the block, if a layer did not run, or not as often as `call` says, or has no positions.
        """
        instead = replacements or {}
        calls = {name: _Calls(name, self._layers[name], images, instead.get(name)) for name in names}
        outputs: dict[LayerName, Tensor] = {}
        with ExitStack() as stack:
            for name, each in calls.items():
                stack.callback(self._layers[name].module.register_forward_hook(each).remove)
            yield outputs
        for name, each in calls.items():
            index, outputs[name] = each.chosen()
            self._layers[name] = replace(self._layers[name], call=index)

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Make a result that does not depend on the images, at the first call only."""
        if key not in self._results:
            self._results[key] = make()
        return self._results[key]


class _Calls:
    """The calls of one layer whose outputs have positions: a hook that records the one that is read."""

    def __init__(self, name: LayerName, layer: Layer, images: Images, replacement: Tensor | None) -> None:
        self.name = name
        self.layer = layer
        self.images = images
        self.replacement = replacement
        self.count = 0
        self.recorded: dict[int, Tensor] = {}
        self.others: list[Tensor] = []

    def __call__(self, _module: Any, _inputs: Any, output: Any) -> Tensor | None:
        if not isinstance(output, Tensor):
            raise TypeError(
                f"Expected layer {self.name.path!r} to return a tensor, but got {type(output).__name__}: "
                "name a layer inside it."
            )
        tokens_first = self.layer.tokens_first
        turned = has_tokens_first(output, self.images) if tokens_first is None else tokens_first and output.ndim == 3
        ordered = output.transpose(0, 1) if turned else output
        if not has_grid(ordered, self.images):
            self.others.append(output)
            return None
        index, self.count = self.count, self.count + 1
        # Which call is the last one, the first forward tells.
        if self.layer.call >= 0 and index != self.layer.call:
            return None
        result = ordered if self.replacement is None else self.replacement
        self.recorded[index] = result if result.requires_grad else result.requires_grad_()
        copy = result.clone()
        return copy.transpose(0, 1) if turned else copy

    def chosen(self) -> tuple[int, Tensor]:
        """Return the index and the output of the call that is read."""
        if not self.count:
            if self.others:
                as_grid(self.others[-1], self.images)
                raise ValueError(
                    f"Expected layer {self.name.path!r} to return a row for each of {len(self.images)} images, but got "
                    f"an output of shape {tuple(self.others[-1].shape)}: name another layer."
                )
            raise ValueError(
                f"Expected layer {self.name.path!r} to run in the model's forward, but it did not: name another layer."
            )
        if not -self.count <= self.layer.call < self.count:
            raise no_such_call(self.name.path, self.layer.call, self.count)
        if self.layer.call == LAST_CALL and self.count > 1:
            warn_once(several_calls(self.name.path, self.count))
        index = self.layer.call % self.count
        return index, self.recorded[index]
