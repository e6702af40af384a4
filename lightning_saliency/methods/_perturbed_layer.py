"""Base of the methods that change the input or a layer channel by channel and read the target's value."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from lightning_saliency._saliency_method import SaliencyMethod
from lightning_saliency._signals import let_interrupts_in
from lightning_saliency._types import Images, Maps, Model, Scores, per_image
from lightning_saliency.methods._layer_method import check_call, checked_layers, names_of
from lightning_saliency.methods._upsampling import upsample
from lightning_saliency.passes.chunks import chunk_size
from lightning_saliency.passes.grids import as_grid
from lightning_saliency.passes.layers import LayerName, find_layers
from lightning_saliency.passes.recorder import Recorder
from lightning_saliency.targets import Target


class PerturbedLayerMethod(SaliencyMethod):
    """A class activation map whose channel weights come from forwards only, one for each channel.

    Subclasses are frozen dataclasses with the fields `layer` and `call`. A pass holds at most `max_batch_size` images:
    several channels of a small batch.
    """

    layer: str | Sequence[str] | None
    call: int

    def __post_init__(self) -> None:
        """Check the layers."""
        object.__setattr__(self, "layer", checked_layers(self.layer))
        check_call(self.call)

    @property
    def layers(self) -> tuple[LayerName, ...]:
        """The layers whose channels are weighed."""
        return names_of(self.layer, self.call)

    @abstractmethod
    def weights(self, recorder: Recorder, images: Images, target: Target, layer: LayerName, output: Tensor) -> Tensor:
        """Weigh the channels of a layer's output, (B, K)."""

    def maps(self, model: Model, images: Images, target: Target, max_batch_size: int) -> Maps:
        """Weigh the channels of each layer, and average the layers' maps."""
        names = self.layers
        max_batch_size = chunk_size(images, max_batch_size)
        recorder = Recorder(model, find_layers(model, images, names, target), max_batch_size)
        chunks = zip(images.split(max_batch_size), target.split(max_batch_size), strict=True)
        with torch.no_grad():
            return torch.cat([self._maps(recorder, *chunk, names) for chunk in chunks])

    def _maps(self, recorder: Recorder, images: Images, target: Target, names: Sequence[LayerName]) -> Maps:
        maps = [self._map(recorder, images, target, name) for name in names]
        return maps[0] if len(maps) == 1 else torch.stack(maps).mean(dim=0)

    def _map(self, recorder: Recorder, images: Images, target: Target, layer: LayerName) -> Maps:
        output = recorder.outputs(images, layer)
        activation = as_grid(output, images)
        weights = self.weights(recorder, images, target, layer, output)
        weighted = activation * per_image(weights, activation)
        return upsample(weighted.sum(dim=1).relu(), images)


def values_of(
    recorder: Recorder, inputs: Tensor, target: Target, replacements: dict[LayerName, Tensor] | None = None
) -> Scores:
    """Predict the target's values (N,) for N inputs, with layers' outputs replaced or not."""
    let_interrupts_in()
    outputs = {} if replacements is None else replacements
    with recorder.recording(inputs, outputs, outputs):
        # A copy, since models may change their input in place.
        return target.value(recorder.model(inputs.clone()))


def channel_chunks(recorder: Recorder, images: Images, num_channels: int) -> Iterator[range]:
    """List channels, as many at a time as fit into a pass beside each other."""
    stride = max(1, recorder.max_batch_size // len(images))
    for start in range(0, num_channels, stride):
        yield range(start, min(start + stride, num_channels))
