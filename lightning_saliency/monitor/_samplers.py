"""The indices that a loader visits, read off its sampler without iterating it."""

from collections.abc import Sequence
from operator import index
from typing import Any, Final, TypeGuard

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

# Their subclasses of torch's samplers and loader visit the same indices as torch's.
LIBRARIES: Final = frozenset(("torch", "torchdata", "lightning", "lightning_fabric", "pytorch_lightning"))


def indices_of(loader: Any) -> Sequence[int] | None:
    """Return the indices that a loader visits, on all processes together.

    They are known of torch's samplers, of Lightning's distributed ones around them, and of sequences of indices.

    Returns:
        Distinct indices; `None` where only the loader itself can tell what it yields.
    """
    if not (isinstance(loader, DataLoader) and _iterates_as_libraries_do(loader)) or loader.batch_sampler is None:
        return None
    if isinstance(loader.dataset, IterableDataset) or not hasattr(loader.dataset, "__len__"):
        return None
    return _distinct(_visited(loader.batch_sampler))


def is_distributed(loader: Any) -> bool:
    """Return whether the processes share out the items of one data set by the sampler."""
    return isinstance(getattr(loader, "sampler", None), DistributedSampler) or isinstance(
        getattr(getattr(loader, "batch_sampler", None), "sampler", None), DistributedSampler
    )


def _visited(sampler: Any) -> Sequence[int] | None:
    if isinstance(sampler, range):
        return sampler
    if _are_batches(sampler):
        return _whole_numbers([item for batch in sampler for item in batch])
    if isinstance(sampler, list | tuple | Tensor | np.ndarray):
        return _whole_numbers(sampler)
    return _held_by(sampler) if _iterates_as_libraries_do(sampler) else None


def _held_by(sampler: Any) -> Sequence[int] | None:
    """Return the indices of a sampler of torch's or Lightning's."""
    indices: Sequence[int] | None = None
    match sampler:
        case BatchSampler():
            indices = _visited(sampler.sampler)
        case SubsetRandomSampler():
            indices = _whole_numbers(sampler.indices)
        case WeightedRandomSampler():
            indices = _whole_numbers(torch.as_tensor(sampler.weights).nonzero().flatten())
        case SequentialSampler() | RandomSampler():
            indices = _range_of(sampler.data_source)
        case DistributedSampler():
            # Lightning puts the user's sampler in the place of the data set.
            inner = getattr(sampler.dataset, "_sampler", None)
            indices = _range_of(sampler.dataset) if inner is None else _visited(inner)
    return indices


def _are_batches(sampler: Any) -> TypeGuard[Sequence[Sequence[int]]]:
    return isinstance(sampler, list | tuple) and all(isinstance(batch, list | tuple) for batch in sampler)


def _whole_numbers(values: Any) -> list[int] | None:
    try:
        return [index(value) for value in values]
    except TypeError:
        return None


def _range_of(items: Any) -> range | None:
    return range(len(items)) if hasattr(items, "__len__") else None


def _distinct(indices: Sequence[int] | None) -> Sequence[int] | None:
    return indices if indices is None or isinstance(indices, range) else list(dict.fromkeys(indices))


def _iterates_as_libraries_do(iterable: Any) -> bool:
    """Tell whether no class of the user's decides what is yielded."""
    method = getattr(type(iterable), "__iter__", None)
    return str(getattr(method, "__module__", "")).partition(".")[0] in LIBRARIES
