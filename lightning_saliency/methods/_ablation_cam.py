"""Class activation maps whose channel weights are the loss of the logit without the channel."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lightning_saliency._types import Images
from lightning_saliency.methods._perturbed_layer import PerturbedLayerMethod, channel_chunks, values_of
from lightning_saliency.passes.grids import channels_last
from lightning_saliency.passes.layers import LayerName
from lightning_saliency.passes.recorder import Recorder
from lightning_saliency.targets import Target


@dataclass(frozen=True)
class AblationCAM(PerturbedLayerMethod):
    """A layer's channels, each times the drop of the target's logit when that channel is set to zero.

    The paper divides drops by the logit itself. That only scales a map where the logit is positive, and inverts it
    where the logit is negative, so drops are not divided here. No gradients are used. Cost: K + 2 forwards per image
    for a layer of K channels, in passes of at most `max_batch_size` images.

    Args:
        layer: Name of the layer, several names, or `None`, as in `GradCAM`.
        call: Which of the layer's calls, as in `GradCAM`.
        name: Key in results and logs.

    Raises:
        TypeError: If `layer` is neither a name nor a list of names.
        ValueError: If the layer is unknown, or there is none; the message lists candidates.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.Flatten(), torch.nn.Linear(4, 2))
        >>> for parameter in model.parameters():
        ...     _ = torch.nn.init.ones_(parameter)
        >>> AblationCAM()(model, torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]]), torch.tensor([0]))
        tensor([[[10., 20.],
                 [30., 40.]]])

    References:
        Ramaswamy and Desai, "Ablation-CAM", 2020. https://doi.org/10.1109/WACV45572.2020.9093360
    """

    layer: str | Sequence[str] | None = None
    call: int = field(default=-1, kw_only=True)
    name: str = "ablation_cam"

    def weights(self, recorder: Recorder, images: Images, target: Target, layer: LayerName, output: Tensor) -> Tensor:
        """Set each channel to zero."""
        dimension = output.ndim - 1 if channels_last(output, images) else 1
        intact = values_of(recorder, images, target)
        drops = []
        for channels in channel_chunks(recorder, images, output.shape[dimension]):
            without = []
            for channel in channels:
                without.append(output.clone())
                without[-1].select(dimension, channel).zero_()
            repeated = torch.cat([images] * len(channels))
            values = values_of(recorder, repeated, target.repeat(len(channels)), {layer: torch.cat(without)})
            drops += [intact - value for value in values.split(len(images))]
        return torch.stack(drops, dim=1)
