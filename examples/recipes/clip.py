"""The image encoder of a CLIP: what in the image is similar to a text?

python examples/recipes/clip.py
"""

from typing import Any

import torch
from task import Task, fit
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from lightning_saliency import SaliencyMonitor
from lightning_saliency.targets import Similarity

# The embedding of a text, from the other encoder.
TEXT = torch.linspace(-1, 1, 16)
ITEMS = TensorDataset(torch.rand(4, 3, 32, 32))


def loss(network: nn.Module, batch: Any) -> Tensor:
    """Distance from the text."""
    return 1 - functional.cosine_similarity(network(batch[0]).image_embeds, TEXT.to(batch[0])).mean()


def task() -> Task:
    """Make a small encoder of two blocks."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = CLIPVisionConfig(image_size=32, patch_size=8, projection_dim=16, **sizes)
    return Task(CLIPVisionModelWithProjection(config), loss)


def monitor() -> SaliencyMonitor:
    """Explain the similarity to the text."""
    return SaliencyMonitor(
        output="image_embeds",
        target=Similarity(TEXT),
    )


if __name__ == "__main__":
    fit(task(), ITEMS, monitor())
