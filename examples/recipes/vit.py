"""A vision transformer of Hugging Face, which returns its logits in an object.

python examples/recipes/vit.py
"""

from typing import Any

import torch
from task import Task, fit
from torch import Tensor, nn
from transformers import ViTConfig, ViTForImageClassification

from lightning_saliency import SaliencyMonitor

ITEMS = [{"pixel_values": torch.rand(3, 32, 32), "labels": index % 3} for index in range(4)]


def loss(network: nn.Module, batch: Any) -> Tensor:
    """Return the loss that the network computes itself."""
    losses: Tensor = network(**batch).loss
    return losses


def task() -> Task:
    """Make a small network of two blocks."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    return Task(ViTForImageClassification(ViTConfig(image_size=32, patch_size=8, num_labels=3, **sizes)), loss)


def monitor() -> SaliencyMonitor:
    """Explain the labels."""
    return SaliencyMonitor(output="logits")


if __name__ == "__main__":
    fit(task(), ITEMS, monitor())  # type: ignore[arg-type]
