"""Find images and labels in a batch, whatever it is made of."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

from lightning_saliency._checks import check_images
from lightning_saliency._types import Images, Targets

IMAGE_KEYS: Final = ("image", "images", "img", "pixel_values", "input", "inputs", "x")
LABEL_KEYS: Final = ("label", "labels", "target", "targets", "y")

BatchReader: TypeAlias = Callable[[Any], Any] | tuple[str | int, str | int] | list[str | int] | None


def read_batch(batch: Any, reader: BatchReader) -> tuple[Images, Targets | None]:
    """Return images (B, C, *S) and labels (B,), `None` where the batch has no labels.

    Raises:
        TypeError: If what is found are no images.
        ValueError: If nothing is found, or labels are not one class per image.
    """
    images, labels = _pick(batch, reader)
    check_images(images)
    return images, None if labels is None else _as_classes(labels, len(images))


def _pick(batch: Any, reader: BatchReader) -> tuple[Any, Any]:
    if callable(reader):
        images, labels = reader(batch)
        return images, labels
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        batch = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    elif hasattr(batch, "_asdict"):
        batch = list(batch)
    if reader is not None:
        return batch[reader[0]], batch[reader[1]]
    if isinstance(batch, Tensor):
        return batch, None
    if isinstance(batch, tuple | list) and batch:
        return batch[0], batch[1] if len(batch) > 1 and isinstance(batch[1], Tensor) else None
    if isinstance(batch, Mapping):
        found = next((batch[key] for key in IMAGE_KEYS if key in batch), None)
        if found is not None:
            return found, next((batch[key] for key in LABEL_KEYS if key in batch), None)
    raise ValueError(
        f"Expected a batch of (images, labels) or with a key among {', '.join(IMAGE_KEYS)}, but got {_kind(batch)}: "
        "pass `batch`, a pair of keys or a function that returns (images, labels)."
    )


def _kind(batch: Any) -> str:
    return f"keys {list(batch)}" if isinstance(batch, Mapping) else type(batch).__name__


def _as_classes(labels: Any, batch_size: int) -> Targets:
    """Accept whole numbers of any type, and the column of floats that goes with a one-logit model."""
    classes = labels.flatten() if isinstance(labels, Tensor) and labels.shape == (batch_size, 1) else labels
    if isinstance(classes, Tensor) and classes.shape == (batch_size,) and bool((classes == classes.floor()).all()):
        return classes.to(torch.int64)
    shape = f"shape {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
    raise ValueError(
        f"Expected labels to be one class for each of {batch_size} images, but got {shape}: "
        "pass `target` 'predicted', a class or a function, and `batch` to leave the labels out."
    )
