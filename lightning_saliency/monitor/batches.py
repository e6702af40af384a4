"""Find images, labels and masks in a batch, whatever it is made of."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias, TypeGuard, cast

import torch
from torch import Tensor

from lightning_saliency._checks import check_images, check_masks, plain_tensor
from lightning_saliency._types import Images, Masks, Targets

IMAGE_KEYS: Final = ("image", "images", "img", "pixel_values", "input", "inputs", "x")
LABEL_KEYS: Final = ("label", "labels", "target", "targets", "y")

MASK_KEYS: Final = ("mask", "masks", "segmentation")
MOST_SHOWN: Final = 4

BatchReader: TypeAlias = Callable[..., Any] | Sequence[str | int | None] | None


class LabelledImages(NamedTuple):
    """A batch on the model's device with the images' data set indices.

    Labels are classes (B,), or else what the batch has for labels, (B, ...), such as those of several classes at once.
    Extras are further arguments of the network, (B, ...) each.
    """

    indices: list[int]
    images: Images
    labels: Tensor | None
    masks: Masks | None
    extras: tuple[Tensor, ...] = ()

    def each(self, function: Callable[[Tensor], Tensor], indices: list[int] | None = None) -> "LabelledImages":
        """Apply a function to all tensors, and perhaps replace the indices."""
        return LabelledImages(
            self.indices if indices is None else indices,
            function(self.images),
            None if self.labels is None else function(self.labels),
            None if self.masks is None else function(self.masks),
            tuple(function(extra) for extra in self.extras),
        )


def read_batch(batch: Any, reader: BatchReader, indices: list[int] | None = None) -> LabelledImages:
    """Read images (B, C, *S), labels (B, ...), masks (B, *S) and extras; labels and masks may be `None`.

    Raises:
        TypeError: If the batch holds no images, or an extra is not a tensor.
        ValueError: If there are none, or labels or an extra are not one row per image.
    """
    images, labels, masks, *extras = (plain_tensor(part) for part in _pick(batch, reader))
    _check_found(images, batch)
    numbers = list(range(len(images))) if indices is None else indices
    labels = None if labels is None else _as_labels(labels, len(images))
    masks = None if masks is None else _as_masks(masks, images)
    return LabelledImages(numbers, images, labels, masks, tuple(_as_extra(extra, len(images)) for extra in extras))


def number_images(batch: Any, reader: BatchReader, numbers: Iterator[int], most: int) -> LabelledImages:
    """Read the first images of a batch of a stream, numbered as they come."""
    labelled = read_batch(batch, reader)
    indices = list(islice(numbers, min(most, len(labelled.images))))
    count = len(indices)
    return labelled.each(lambda part: part[:count].clone(), indices)


def _check_found(images: Any, batch: Any) -> None:
    """Refuse what are no images, and say where the monitor looked for them.

    Raises:
        TypeError: If they are not a floating-point tensor.
        ValueError: If they have another shape.
    """
    try:
        check_images(images)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"SaliencyMonitor takes the first part of a batch for the images, or what `batch` returns: {error}  "
            f"The batch is {kind_of(batch)}.  Pass `batch`, keys of images and labels or a function that returns them, "
            "and `model` where the network does not take images alone."
        ) from error


def _pick(batch: Any, reader: BatchReader) -> tuple[Any, ...]:
    if callable(reader):
        return _parts(reader(batch))
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        batch = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    elif hasattr(batch, "_asdict"):
        batch = list(batch)
    if reader is not None:
        return _parts([None if key is None else batch[key] for key in reader])
    if isinstance(batch, Tensor):
        return batch, None, None
    if isinstance(batch, tuple | list) and batch:
        return batch[0], batch[1] if len(batch) > 1 and isinstance(batch[1], Tensor) else None, None
    if isinstance(batch, Mapping):
        images, labels, masks = (
            next((batch[key] for key in keys if key in batch), None) for keys in (IMAGE_KEYS, LABEL_KEYS, MASK_KEYS)
        )
        if images is not None:
            return images, labels, masks
    raise ValueError(
        f"Expected a batch of (images, labels) or with a key among {', '.join(IMAGE_KEYS)}, but got {kind_of(batch)}: "
        "pass `batch`, keys of images and labels or a function that returns them."
    )


def _parts(parts: Any) -> tuple[Any, ...]:
    images, labels, *rest = parts
    return images, labels, *(rest or [None])


def _as_extra(extra: Any, batch_size: int) -> Tensor:
    """Refuse a further argument of the network that is no tensor with a row an image."""
    if not isinstance(extra, Tensor):
        raise TypeError(
            f"`batch` must return further arguments of the network as tensors, but got {type(extra).__name__}.  "
            "Pass what is the same for all images in `model`, a function of the network and these arguments."
        )
    if extra.shape[:1] != (batch_size,):
        raise ValueError(
            f"`batch` must return further arguments with a row for each of {batch_size} images, but got shape "
            f"{tuple(extra.shape)}.  Repeat what is the same for all images."
        )
    return extra


def _as_masks(masks: Any, images: Images) -> Masks:
    """Accept boolean or whole-numbered masks, with or without a channel."""
    flags = masks[:, 0] if isinstance(masks, Tensor) and masks.ndim == images.ndim and masks.shape[1] == 1 else masks
    flags = flags > 0 if isinstance(flags, Tensor) else flags
    check_masks(flags, images)
    return cast("Tensor", flags)


def kind_of(batch: Any) -> str:
    """Describe a batch for an error: keys, or types and shapes."""
    if isinstance(batch, Mapping):
        return f"keys {list(batch)}"
    if isinstance(batch, tuple | list):
        shown = ", ".join(kind_of(part) for part in batch[:MOST_SHOWN]) + (", ..." if len(batch) > MOST_SHOWN else "")
        return f"({shown})" if isinstance(batch, tuple) else f"[{shown}]"
    return f"{type(batch).__name__} {tuple(batch.shape)}" if isinstance(batch, Tensor) else type(batch).__name__


def are_classes(labels: Tensor | None) -> TypeGuard[Targets]:
    """Tell classes (B,) from labels of another kind and from none."""
    return labels is not None and labels.ndim == 1 and labels.dtype == torch.int64


def _as_labels(labels: Any, batch_size: int) -> Tensor:
    """Make classes of whole numbers of any type, and of the column of floats that goes with a one-logit model."""
    if not isinstance(labels, Tensor) or labels.shape[:1] != (batch_size,):
        shape = f"shape {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise ValueError(
            f"Expected labels to be a tensor with a row for each of {batch_size} images, but got {shape}: "
            "pass `batch`, keys of images and labels or a function that returns them."
        )
    flat = labels.flatten() if labels.shape == (batch_size, 1) else labels
    is_whole = flat.ndim == 1 and (not flat.is_floating_point() or bool((flat == flat.floor()).all()))
    return flat.to(torch.int64) if is_whole else labels
