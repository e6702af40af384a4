"""A control: the edges of the image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_saliency._types import Images, Maps
from lightning_saliency.methods._control import Control


@dataclass(frozen=True)
class EdgeMap(Control):
    """Edges of the image: magnitude of the Sobel gradient of its channels' mean, whatever the model.

    An explanation that scores no better than this shows what is in the image, not how the model uses it.
    Borders are replicated. Maps are in units of the normalised input. Signals and volumes have differences along each
    axis, smoothed along the others. Cost: no pass.

    Args:
        name: Key in results and logs.

    Example:
        >>> import torch
        >>> EdgeMap()(None, torch.tensor([[[[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]]]))
        tensor([[[0., 4., 4.],
                 [0., 4., 4.]]])

    References:
        Adebayo et al., "Sanity Checks for Saliency Maps", 2018. https://arxiv.org/abs/1810.03292
    """

    name: str = "edge_map"

    def draw(self, images: Images) -> Maps:
        """Filter the images; returns float32 maps (B, *S)."""
        grey = images.float().mean(dim=1)
        slopes = torch.stack([_slope(grey, axis) for axis in range(1, grey.ndim)])
        return slopes.square().sum(dim=0).sqrt()


def _slope(grey: Tensor, axis: int) -> Tensor:
    """Return differences along an axis, smoothed along the others."""
    for each in range(1, grey.ndim):
        size = grey.shape[each]
        padded = torch.cat([grey.narrow(each, 0, 1), grey, grey.narrow(each, size - 1, 1)], dim=each)
        before, after = (padded.narrow(each, start, size) for start in (0, 2))
        grey = after - before if each == axis else before + 2 * grey + after
    return grey
