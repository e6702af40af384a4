"""Predict changed images in full batches, each distinct change once."""

from collections.abc import Callable, Hashable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from lightning_saliency._checks import warn_once
from lightning_saliency._signals import let_interrupts_in
from lightning_saliency._types import Images, Model
from lightning_saliency.passes.heads import REMEDIES, Ending, probabilities_of
from lightning_saliency.targets import Activation, Target


class Predictor:
    """Outputs of the model for changed versions of one batch of images, each predicted once.

    Kept is a digest of each output, a row an image, which `reader` reads: an output of a segmentation for all changes
    would not fit into memory.

    Args:
        model: The model.
        images: The batch, of at most `max_batch_size` images.
        target: The target. The model must have it: that is checked at the first prediction, so that metrics
            which predict nothing cost no pass.
        max_batch_size: Most images in one pass; several changes of a small batch share a pass.
        forward: The function that predicts in place of the model.
        reads_probabilities: Whether logits become probabilities, so that outputs which are some already are mentioned.

    Raises:
        ValueError: If the first prediction shows that a target is no class of the model.
    """

    def __init__(
        self,
        model: Model,
        images: Images,
        target: Target,
        max_batch_size: int,
        forward: Model | None = None,
        *,
        reads_probabilities: bool = True,
    ) -> None:
        self.model = model
        self.forward = model if forward is None else forward
        self.images = images
        self.target = target
        self.reader = target
        self.reads_probabilities = reads_probabilities
        self.max_batch_size = max_batch_size
        self.stride = max(1, max_batch_size // len(images))
        self._outputs: dict[Hashable, Tensor] = {}
        self._shared: dict[Hashable, Any] = {}

    @torch.no_grad()
    def __call__(self, changes: Mapping[Any, Callable[[], Images]]) -> list[Tensor]:
        """Predict the changes that were not predicted before, and return the digests of all in their order.

        Args:
            changes: The makers of changed images, by what identifies the change.
        """
        news = [key for key in changes if key not in self._outputs]
        for start in range(0, len(news), self.stride):
            let_interrupts_in()
            batch = news[start : start + self.stride]
            images = torch.cat([changes[key]() for key in batch])
            with nullcontext() if self._outputs else Ending() as ending:
                reader, digest = self.target.repeat(len(batch)).digest(self.forward(images))
            parts = _widened(digest).split(len(self.images))
            if ending is not None:
                if self.reads_probabilities and "classes" in reader.offers:
                    _mention_probabilities(probabilities_of(digest, is_sigmoid=ending.is_sigmoid(digest)))
                self.reader = reader.take(torch.arange(len(self.images), device="cpu"))
                self.reader.value(parts[0])
            self._outputs |= dict(zip(batch, parts, strict=True))
        return [self._outputs[key] for key in changes]

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Make what several maps or metrics of this batch need, once."""
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]


def predicted_classes(logits: Tensor) -> Tensor:
    """Return the classes (B,) that logits (B, K) predict, on the CPU; -1 where one of them is not a number."""
    return torch.where(logits.isnan().any(dim=1), -1, logits.argmax(dim=1)).cpu()


def _mention_probabilities(activation: Activation | None) -> None:
    if activation is not None:
        warn_once(
            f"The model returns probabilities, those of a {activation}, and scores take them for logits. Pass the "
            f"model without its {activation}, or apply `{REMEDIES[activation]}` to its output."
        )


def _widened(outputs: Tensor) -> Tensor:
    """Half precision would drown differences of scores."""
    return outputs if outputs.dtype == torch.float64 else outputs.float()
