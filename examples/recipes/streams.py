"""Images from tar files by webdataset, which can only be read from their beginning.

python examples/recipes/streams.py FOLDER
"""

import sys
from pathlib import Path
from typing import Any

import timm
import torch
import webdataset
from task import Task, fit
from torch import Tensor, nn
from torch.nn import functional

from lightning_saliency import SaliencyMonitor


def write(path: Path) -> None:
    """Write four images with their labels into a tar file."""
    with webdataset.TarWriter(str(path)) as tar:
        for index in range(4):
            tar.write({"__key__": f"{index:04d}", "image.pth": torch.rand(3, 32, 32), "label.cls": index % 2})


def items(path: Path) -> Any:
    """Read (image, label) from a tar file."""
    return webdataset.WebDataset(str(path), shardshuffle=False).decode().to_tuple("image.pth", "label.cls")


def loss(network: nn.Module, batch: Any) -> Tensor:
    """Cross-entropy."""
    images, labels = batch
    return functional.cross_entropy(network(images), labels)


def task() -> Task:
    """Make a small ResNet for two classes."""
    return Task(timm.create_model("resnet10t", num_classes=2), loss)


def monitor() -> SaliencyMonitor:
    """Explain the labels of the first images of the stream."""
    return SaliencyMonitor(num_images=4)


if __name__ == "__main__":
    tar_file = Path(sys.argv[1]) / "items.tar"
    write(tar_file)
    fit(task(), items(tar_file), monitor())
