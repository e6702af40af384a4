"""Names of classes, where the data set has them: numbers are better than names that may be wrong."""

from collections import Counter
from typing import Any

from torch.utils.data import ConcatDataset, Subset


def class_names_of(dataset: Any) -> list[str] | None:
    """Read the attribute `classes` of a data set, through subsets and concatenated data sets.

    Returns:
        A distinct name for each class; `None` if there are none, if concatenated data sets have different ones, or if
        a `target_transform` may have changed the labels.
    """
    if isinstance(dataset, Subset):
        return class_names_of(dataset.dataset)
    if isinstance(dataset, ConcatDataset):
        first, *others = [class_names_of(part) for part in dataset.datasets]
        return first if all(names == first for names in others) else None
    names = getattr(dataset, "classes", None)
    if not isinstance(names, list | tuple) or not names or getattr(dataset, "target_transform", None) is not None:
        return None
    return _distinct([_text(name) for name in names])


def _text(name: Any) -> str:
    """Take the first of several names, such as ImageNet's."""
    return str(name[0]) if isinstance(name, list | tuple) and name else str(name)


def _distinct(names: list[str]) -> list[str]:
    """Add its number to a name that several classes have."""
    counts = Counter(names)
    return [name if counts[name] == 1 else f"{name} ({number})" for number, name in enumerate(names)]
