"""Find out how the images were normalised: from the data set's transforms, the pixels, the network."""

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.utils.data import ConcatDataset, Subset

from lightning_saliency._types import Images
from lightning_saliency.passes.normalization import Normalization, is_raw


def find_normalization(dataset: Any, network: nn.Module, images: Images) -> Normalization | None:
    """Find the normalisation; `None` where it cannot be known.

    Pixels in [0, 1] are taken as raw before the network's default configuration is asked, since a network
    that is trained from scratch on raw pixels has one too.
    """
    for transform in _transforms(dataset):
        if type(transform).__name__ == "Normalize" and hasattr(transform, "mean") and hasattr(transform, "std"):
            return Normalization.of(transform.mean, transform.std)
    if is_raw(images):
        return Normalization.of(0.0, 1.0)
    for module in network.modules():
        config = getattr(module, "pretrained_cfg", None)
        if isinstance(config, dict) and config.get("mean") and len(config["mean"]) == images.shape[1]:
            return Normalization.of(config["mean"], config["std"])
    return None


def _layers_of(dataset: Any) -> Iterator[Any]:
    """Walk from a data set through subsets and the first of concatenated ones."""
    while dataset is not None:
        yield dataset
        if isinstance(dataset, ConcatDataset):
            dataset = dataset.datasets[0]
        else:
            dataset = dataset.dataset if isinstance(dataset, Subset) else None


def _transforms(dataset: Any) -> Iterator[Any]:
    for part in _layers_of(dataset):
        for attribute in ("transform", "transforms"):
            yield from _flat(getattr(part, attribute, None))


def _flat(transform: Any) -> Iterator[Any]:
    """Walk through composed transforms; torchvision wraps a data set's transform once more."""
    inner = getattr(transform, "transforms", None)
    if inner is None:
        inner = getattr(transform, "transform", None)
    if inner is None:
        yield transform
    else:
        for part in inner if isinstance(inner, list | tuple | nn.ModuleList) else [inner]:
            yield from _flat(part)
