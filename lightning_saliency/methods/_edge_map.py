"""A control: the edges of the image."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from lightning_saliency._types import Images, Maps
from lightning_saliency.methods._control import Control


@dataclass(frozen=True)
class EdgeMap(Control):
    """Edges of the image: magnitude of the Sobel gradient of its channels' mean, whatever the model.

    An explanation that scores no better than this shows what is in the image, not how the model uses it.
    Borders are replicated. Maps are in units of the normalised input. Cost: no pass.

    Args:
        name: Key in results and logs.

    Raises:
        ValueError: When called, if the images are not two-dimensional.

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
        """Filter the images; returns float32 maps (B, H, W)."""
        if images.ndim != 4:
            raise ValueError(
                f"Expected images of shape (B, C, H, W) for an edge map, but got {tuple(images.shape)}: "
                "leave it out, or use `RandomMap` as the control."
            )
        grey = images.float().mean(dim=1, keepdim=True)
        across = grey.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
        kernels = torch.stack([across, across.T])[:, None]
        slopes = functional.conv2d(functional.pad(grey, (1, 1, 1, 1), mode="replicate"), kernels)
        return slopes.square().sum(dim=1).sqrt()
