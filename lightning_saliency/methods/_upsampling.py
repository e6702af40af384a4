"""From a layer's grid to the image's size."""

from typing import Final

from torch.nn import functional

from lightning_saliency._types import Images, Maps

LINEAR: Final = {1: "linear", 2: "bilinear", 3: "trilinear"}


def upsample(maps: Maps, images: Images) -> Maps:
    """Interpolate maps linearly to the images' size."""
    size = images.shape[2:]
    if maps.shape[1:] == size:
        return maps
    mode = LINEAR[len(size)]
    return functional.interpolate(maps[:, None], size=tuple(size), mode=mode, align_corners=False)[:, 0]
