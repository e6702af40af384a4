"""Predict changed images in full batches, each distinct change once."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import torch

from lightning_saliency._checks import check_classes
from lightning_saliency._model import logits_of
from lightning_saliency._types import Images, Logits, Model, Targets


class Change(NamedTuple):
    """A changed version of every image of a batch.

    Attributes:
        key: What was done, in full: changes of equal keys are taken for the same and predicted once.
        make: Makes the changed images.
    """

    key: Hashable
    make: Callable[[], Images]


class Predictor:
    """Logits of changed versions of one batch of images, kept by their keys.

    Args:
        model: The model.
        images: The batch, of at most `max_batch_size` images.
        max_batch_size: Most images in one pass; several changes of a small batch share a pass.
        forward: What predicts instead of the model, which is then for gradients only.
        targets: Classes that the model must have logits for, (B,): checked at the first prediction, so that
            metrics which predict nothing cost no pass.

    Raises:
        ValueError: If the first prediction shows that a target is no class of the model.
    """

    def __init__(
        self,
        model: Model,
        images: Images,
        max_batch_size: int,
        forward: Model | None = None,
        targets: Targets | None = None,
    ) -> None:
        self.model = model
        self.forward = model if forward is None else forward
        self.images = images
        self.max_batch_size = max_batch_size
        self.targets = targets
        self.stride = max(1, max_batch_size // len(images))
        self._known: dict[Hashable, Logits] = {}
        self._shared: dict[Hashable, Any] = {}

    @property
    def intact(self) -> Change:
        """The change that changes nothing."""
        return Change("intact", lambda: self.images)

    @torch.no_grad()
    def __call__(self, changes: Sequence[Change]) -> list[Logits]:
        """Predict the changes not met before, and return the logits (B, K) of all in their order."""
        news = list({change.key: change for change in changes if change.key not in self._known}.values())
        for start in range(0, len(news), self.stride):
            batch = news[start : start + self.stride]
            logits = logits_of(self.forward, torch.cat([change.make() for change in batch]))
            if self.targets is not None and not self._known:
                check_classes(self.targets, logits.shape[1])
            parts = _widened(logits).split(len(self.images))
            self._known |= {change.key: part for change, part in zip(batch, parts, strict=True)}
        return [self._known[change.key] for change in changes]

    def share(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Make what several maps or metrics of this batch need (a canvas, masks) once."""
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]


def _widened(logits: Logits) -> Logits:
    """Half precision would drown differences of scores."""
    return logits if logits.dtype == torch.float64 else logits.float()
