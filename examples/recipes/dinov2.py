"""DINOv2 with registers of Hugging Face, fine-tuned for classes.

python examples/recipes/dinov2.py
"""

from typing import Any

import torch
from task import Task, fit
from torch import Tensor, nn
from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersForImageClassification

from lightning_saliency import SaliencyMonitor

ITEMS = [{"pixel_values": torch.rand(3, 32, 32), "labels": index % 3} for index in range(4)]


def loss(network: nn.Module, batch: Any) -> Tensor:
    """Return the loss that the network computes itself."""
    losses: Tensor = network(**batch).loss
    return losses


def task() -> Task:
    """Make a small network of two blocks with four registers."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_register_tokens": 4}
    config = Dinov2WithRegistersConfig(image_size=32, patch_size=8, num_labels=3, **sizes)
    return Task(Dinov2WithRegistersForImageClassification(config), loss)


def monitor() -> SaliencyMonitor:
    """Explain the labels."""
    return SaliencyMonitor(output="logits")


if __name__ == "__main__":
    fit(task(), ITEMS, monitor())  # type: ignore[arg-type]
