"""Similarity of an embedding to a reference."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from lightning_saliency._types import Scores
from lightning_saliency.targets._outputs import tensor_of, wrong_shape
from lightning_saliency.targets._rows import RowTarget


class Similarity(RowTarget):
    """Cosine similarity of the embedding to a reference, in [-1, 1].

    The reference is the embedding of a text, of another image, or the mean embedding of a class. Metrics that read
    values have the unit of the similarity; there is no probability.

    Args:
        reference: One embedding for all images (D,), or one for each (B, D); `None` takes the labels of the batch,
            where those are embeddings.

    Raises:
        ValueError: If `reference` has another shape; when asked for a value, if it is missing or the output is not
            (B, D).
        TypeError: When asked for a value, if the output is not a tensor.

    Example:
        >>> import torch
        >>> Similarity(torch.tensor([1.0, 0.0])).value(torch.tensor([[2.0, 0.0], [0.0, 3.0]]))
        tensor([1., 0.])
    """

    per_image: ClassVar[tuple[str, ...]] = ("references",)
    references: Tensor | None

    def __init__(self, reference: Tensor | Sequence[float] | None = None) -> None:
        embeddings = None if reference is None else _as_tensor(reference)
        if embeddings is not None and (embeddings.ndim not in (1, 2) or not embeddings.is_floating_point()):
            raise ValueError(
                f"`reference` must be floating point of shape (D,) or (B, D), but got {embeddings.dtype} of shape "
                f"{tuple(embeddings.shape)}."
            )
        is_shared = embeddings is not None and embeddings.ndim == 1
        super().__init__(references=None if is_shared else embeddings)
        self.reference = embeddings if is_shared else None

    def __repr__(self) -> str:
        return "similarity"

    @property
    def is_complete(self) -> bool:
        """Whether there is a reference."""
        return self.reference is not None or self.references is not None

    def completed(self, output: Any, labels: Tensor | None = None) -> "Similarity":
        """Take the labels for references."""
        if self.is_complete or labels is None:
            return self
        return Similarity(labels)

    def value(self, output: Any) -> Scores:
        """Return the similarities (B,)."""
        reference = self.references if self.reference is None else self.reference[None]
        if reference is None:
            raise ValueError(
                "`reference` must be an embedding, but got None and no labels.  Pass `Similarity(reference)`."
            )
        embeddings = tensor_of(output, self._size, "(B, D)", "Similarity")
        if embeddings.ndim != 2 or embeddings.shape[1] != reference.shape[1]:
            raise wrong_shape(embeddings, f"(B, {reference.shape[1]})", "Similarity")
        return functional.cosine_similarity(embeddings, reference.to(embeddings), dim=1)


def _as_tensor(reference: Any) -> Tensor:
    try:
        return torch.as_tensor(reference)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"`reference` must be a tensor or numbers, but got {reference!r}.  Pass an embedding."
        ) from error
