"""Choose the images to watch: by seed, balanced over classes where labels are cheap to get."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from lightning_saliency._random import keyed_generator


def choose_indices(dataset: Dataset[Any], indices: Sequence[int], num_images: int, seed: int) -> list[int]:
    """Choose some of the indices that may be read; fewer images are a subset of more."""
    order = torch.randperm(len(indices), generator=keyed_generator("subset", seed))
    labels = labels_of(dataset, _size_of(dataset))
    if labels is not None:
        of_order = labels[torch.as_tensor(indices, dtype=torch.int64)[order]]
        order = order[torch.argsort(_rank_within_class(of_order), stable=True)]
    return [indices[place] for place in order[:num_images].tolist()]


def labels_of(dataset: Any, size: int) -> Tensor | None:
    """Find class labels without loading images, or `None`."""
    if isinstance(dataset, Subset):
        inner = labels_of(dataset.dataset, _size_of(dataset.dataset))
        return None if inner is None else inner[torch.as_tensor(dataset.indices, dtype=torch.int64)]
    if isinstance(dataset, ConcatDataset):
        parts = [labels_of(part, _size_of(part)) for part in dataset.datasets]
        complete = [part for part in parts if part is not None]
        return torch.cat(complete) if len(complete) == len(parts) else None
    if isinstance(dataset, TensorDataset):
        return _as_labels(dataset.tensors[1], size) if len(dataset.tensors) > 1 else None
    for name in ("targets", "labels"):
        labels = _as_labels(attribute(dataset, name), size)
        if labels is not None:
            return labels
    return None


def _size_of(dataset: Any) -> int:
    """Return the number of items, -1 for a data set that does not say."""
    return len(dataset) if hasattr(dataset, "__len__") else -1


def attribute(dataset: Any, name: str) -> Any:
    """Return an attribute, `None` where there is none or it cannot be read."""
    try:
        return getattr(dataset, name, None)
    except (NotImplementedError, RuntimeError, OSError, ValueError, TypeError, KeyError):
        return None  # a property of the user's that cannot be read is no reason to stop: the choice is then unbalanced


def _as_labels(values: Any, size: int) -> Tensor | None:
    if not isinstance(values, Tensor | Sequence) or isinstance(values, str) or len(values) != size:
        return None
    try:
        labels = torch.as_tensor(values)
    except (ValueError, TypeError, RuntimeError):
        return None
    if labels.ndim != 1 or labels.is_floating_point() or labels.dtype == torch.bool:
        return None
    return labels.to("cpu", torch.int64)


def _rank_within_class(labels: Tensor) -> Tensor:
    """Count, for every label, its earlier occurrences."""
    order = torch.argsort(labels, stable=True)
    _, counts = torch.unique_consecutive(labels[order], return_counts=True)
    starts = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(labels)) - starts
    return ranks
