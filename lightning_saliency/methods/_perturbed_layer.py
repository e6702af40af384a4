"""What methods share that change the input or a layer channel by channel and look at the target's logit."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from lightning_saliency._checks import check_classes
from lightning_saliency._model import logits_of
from lightning_saliency._types import Images, Maps, Model, Scores, Targets
from lightning_saliency.methods._layer_method import names_of, own_layers
from lightning_saliency.methods._stream_method import DEFAULT_BATCH_SIZE, prepared
from lightning_saliency.methods._upsampling import upsample
from lightning_saliency.passes.layers import as_grid, find_layers, recording
from lightning_saliency.passes.recorder import Recorder


class PerturbedLayerMethod(ABC):
    """A class activation map whose channel weights come from forwards only, one for each channel.

    Subclasses are frozen dataclasses with a field `layer`. A pass holds at most `max_batch_size` images:
    several channels of a small batch.
    """

    layer: str | Sequence[str] | None
    name: str

    def __post_init__(self) -> None:
        """Check the layers."""
        object.__setattr__(self, "layer", own_layers(self.layer))

    @abstractmethod
    def weights(self, recorder: Recorder, images: Images, targets: Targets, layer: str, output: Tensor) -> Tensor:
        """Weigh the channels of a layer's output, (B, K)."""

    def __call__(
        self,
        model: Model,
        images: Images,
        targets: Targets | None = None,
        *,
        max_batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Maps:
        """Explain images; `targets=None` explains the predicted classes. Returns raw float32 maps (B, *S)."""
        names = names_of(self.layer)
        with prepared(model, images, targets, max_batch_size) as (own, known):
            recorder = Recorder(model, find_layers(model, own, names), max_batch_size)
            chunks = zip(own.split(max_batch_size), known.split(max_batch_size), strict=True)
            with torch.no_grad():
                return torch.cat([self._maps(recorder, *chunk, names) for chunk in chunks]).float()

    def _maps(self, recorder: Recorder, images: Images, targets: Targets, names: Sequence[str]) -> Maps:
        maps = [self._map(recorder, images, targets, name) for name in names]
        return maps[0] if len(maps) == 1 else torch.stack(maps).mean(dim=0)

    def _map(self, recorder: Recorder, images: Images, targets: Targets, layer: str) -> Maps:
        output = recorder.outputs(images, layer)
        activation = as_grid(output, images)
        weights = self.weights(recorder, images, targets, layer, output)
        weighed = activation * weights.reshape(*weights.shape, *[1] * (activation.ndim - 2))
        return upsample(weighed.sum(dim=1).relu(), images)


def target_logits(
    recorder: Recorder, inputs: Tensor, targets: Targets, replacements: dict[str, Tensor] | None = None
) -> Scores:
    """Predict the targets' logits (N,) of N inputs, with layers' outputs replaced or not."""
    wanted = {} if replacements is None else replacements
    with recording({name: recorder.layers[name] for name in wanted}, wanted):
        # A copy, since models may work on their input in place.
        logits = logits_of(recorder.model, inputs.clone())
    check_classes(targets, logits.shape[1])
    return logits.gather(1, targets[:, None])[:, 0]


def channel_chunks(recorder: Recorder, images: Images, num_channels: int) -> Iterator[range]:
    """List channels, as many at a time as fit into a pass beside each other."""
    stride = max(1, recorder.max_batch_size // len(images))
    for start in range(0, num_channels, stride):
        yield range(start, min(start + stride, num_channels))
