"""Augmentations that know nothing of cues, for images (B, 3, H, W) in [0, 1] with labels (B,).

Each returns images with labels (B,) or with shares of classes (B, K). BNNR's two need its package, `pip install bnnr`.
"""

import warnings
from collections.abc import Callable
from typing import Final, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import v2

Pair: TypeAlias = tuple[Tensor, Tensor]
Augmentation: TypeAlias = Callable[[Tensor, Tensor], Pair]
BNNR_PERCENTILE: Final = 75.0
BNNR_PROBABILITY: Final = 0.5
"""Those of BNNR's preset `icd`."""


def augmentation(name: str, network: nn.Module, classes: int, seed: int) -> Augmentation:
    """Return an augmentation with the settings of its authors.

    Args:
        name: `"moved"`, `"erasing"`, `"cutmix"`, `"mixup"`, `"icd"` or `"aicd"`.
        network: The network that is trained, whose maps BNNR follows.
        classes: Number of classes.
        seed: Seed of BNNR's draws; the others take those of torch.
    """
    if name in ("icd", "aicd"):
        return _bnnr(name, network, seed)
    mixing: dict[str, Augmentation] = {
        "cutmix": v2.CutMix(num_classes=classes, alpha=1.0),
        "mixup": v2.MixUp(num_classes=classes, alpha=1.0),
    }
    return mixing.get(name, _moved if name == "moved" else _erased)


def _moved(images: Tensor, labels: Tensor) -> Pair:
    """Move each image by up to three pixels."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (3, 3, 3, 3), mode="replicate")
    offsets = torch.randint(7, (count, 2)).tolist()
    moved = [
        image[:, top : top + height, left : left + width] for image, (top, left) in zip(padded, offsets, strict=True)
    ]
    return torch.stack(moved), labels


_ERASE: Final = v2.RandomErasing(p=0.5)


def _erased(images: Tensor, labels: Tensor) -> Pair:
    """Erase a rectangle of every second image; transforms of a batch would erase the same one in all."""
    return torch.stack([_ERASE(image) for image in images]), labels


def _bnnr(name: str, network: nn.Module, seed: int) -> Augmentation:
    """Return BNNR's coarse dropout of salient (`icd`) or other (`aicd`) tiles, by maps of the network as it is now.

    Its default maps need a hundred passes for each image, so those of its other method, Grad-CAM, are taken.
    """
    from bnnr import AICD, ICD

    layer = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*without XAICache")
        drop = (ICD if name == "icd" else AICD)(
            network, [layer], BNNR_PERCENTILE, explainer="gradcam", probability=BNNR_PROBABILITY, random_state=seed
        )

    def change(images: Tensor, labels: Tensor) -> Pair:
        pixels = (images * 255).round().byte().permute(0, 2, 3, 1).numpy()
        try:
            dropped = drop.apply_batch_with_labels(pixels, labels.numpy())
        finally:
            network.train()  # its maps leave the network in evaluation mode
        return torch.as_tensor(dropped).permute(0, 3, 1, 2).float() / 255, labels

    return change
