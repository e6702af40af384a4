"""Class activation maps whose channel weights are logits of the image masked by the channel."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lightning_saliency._types import Images
from lightning_saliency.methods._perturbed_layer import PerturbedLayerMethod, channel_chunks, values_of
from lightning_saliency.methods._upsampling import upsample
from lightning_saliency.passes import normalize
from lightning_saliency.passes.grids import as_grid
from lightning_saliency.passes.layers import LayerName
from lightning_saliency.passes.recorder import Recorder
from lightning_saliency.targets import Target


@dataclass(frozen=True)
class ScoreCAM(PerturbedLayerMethod):
    """A layer's channels, each weighted by the target's logit for the image masked by that channel.

    Channels are upsampled, scaled to [0, 1] and multiplied with the image. Masked pixels are zero in the model's
    input space, the mean colour of normalised images. Weights are the softmax of the logits over channels, so that
    all are positive. No gradients are used. Cost: K + 1 forwards per image for a layer of K channels, in passes of
    at most `max_batch_size` images.

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
        >>> ScoreCAM()(model, torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]]), torch.tensor([0]))
        tensor([[[1., 2.],
                 [3., 4.]]])

    References:
        Wang et al., "Score-CAM", 2020. https://arxiv.org/abs/1910.01279
    """

    layer: str | Sequence[str] | None = None
    call: int = field(default=-1, kw_only=True)
    name: str = "score_cam"

    def weights(self, recorder: Recorder, images: Images, target: Target, layer: LayerName, output: Tensor) -> Tensor:
        """Mask the image by each channel."""
        activation = as_grid(output, images)
        scores = []
        for channels in channel_chunks(recorder, images, activation.shape[1]):
            shares = [normalize(upsample(activation[:, channel], images))[:, None] for channel in channels]
            # In the images' precision, since a model in half precision takes no other.
            masked = [images * share.to(images) for share in shares]
            values = values_of(recorder, torch.cat(masked), target.repeat(len(channels)))
            scores += values.split(len(images))
        return torch.stack(scores, dim=1).softmax(dim=1)
