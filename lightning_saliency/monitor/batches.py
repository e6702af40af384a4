"""Find images, labels and masks in a batch, whatever it is made of."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias, TypeGuard, cast

import torch
from torch import Tensor

from lightning_saliency._checks import check_images, check_masks
from lightning_saliency._types import Images, Masks, Targets

IMAGE_KEYS: Final = ("image", "images", "img", "pixel_values", "input", "inputs", "x")
LABEL_KEYS: Final = ("label", "labels", "target", "targets", "y")

MASK_KEYS: Final = ("mask", "masks", "segmentation")
MOST_SHOWN: Final = 4

BatchReader: TypeAlias = Callable[..., Any] | Sequence[str | int] | None


class LabelledImages(NamedTuple):
    """A batch on the model's device with the images' data set indices.

    Labels are classes (B,), or else what the batch has for labels, (B, ...), such as those of several classes at once.
    """

    indices: list[int]
    images: Images
    labels: Tensor | None
    masks: Masks | None


def read_batch(batch: Any, reader: BatchReader, indices: list[int] | None = None) -> LabelledImages:
    """Read images (B, C, *S), labels (B, ...) and masks (B, *S); the last two are `None` where there are none.

    Raises:
        TypeError: If the batch holds no images.
        ValueError: If there are none, or labels are not one row per image.
    """
    images, labels, masks = (_plain(part) for part in _pick(batch, reader))
    _check_found(images, batch)
    numbers = list(range(len(images))) if indices is None else indices
    labels = None if labels is None else _as_labels(labels, len(images))
    return LabelledImages(numbers, images, labels, None if masks is None else _as_masks(masks, images))


def number_images(batch: Any, reader: BatchReader, numbers: Iterator[int], most: int) -> LabelledImages:
    """Read the first images of a batch of a stream, numbered as they come."""
    labelled = read_batch(batch, reader)
    indices = list(islice(numbers, min(most, len(labelled.images))))
    count = len(indices)
    labels, masks = (None if part is None else part[:count].clone() for part in (labelled.labels, labelled.masks))
    return LabelledImages(indices, labelled.images[:count].clone(), labels, masks)


def _plain(part: Any) -> Any:
    """Take off what a subclass of `Tensor` adds, which functions of torch would return again."""
    kind = type(part)
    if not isinstance(part, Tensor) or kind is Tensor or kind.__torch_dispatch__ is not Tensor.__torch_dispatch__:
        return part
    with torch._C.DisableTorchFunctionSubclass():
        return part.as_subclass(Tensor)


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
            f"The batch is {_kind(batch)}.  Pass `batch`, keys of images and labels or a function that returns them, "
            "and `model` where the network does not take images alone."
        ) from error


def _pick(batch: Any, reader: BatchReader) -> tuple[Any, Any, Any]:
    if callable(reader):
        return _three(reader(batch))
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        batch = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    elif hasattr(batch, "_asdict"):
        batch = list(batch)
    if reader is not None:
        return _three([batch[key] for key in reader])
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
        f"Expected a batch of (images, labels) or with a key among {', '.join(IMAGE_KEYS)}, but got {_kind(batch)}: "
        "pass `batch`, keys of images and labels or a function that returns them."
    )


def _three(parts: Any) -> tuple[Any, Any, Any]:
    images, labels, *masks = parts
    return images, labels, masks[0] if masks else None


def _as_masks(masks: Any, images: Images) -> Masks:
    """Accept boolean or whole-numbered masks, with or without a channel."""
    flags = masks[:, 0] if isinstance(masks, Tensor) and masks.ndim == images.ndim and masks.shape[1] == 1 else masks
    flags = flags > 0 if isinstance(flags, Tensor) else flags
    check_masks(flags, images)
    return cast("Tensor", flags)


def _kind(batch: Any) -> str:
    if isinstance(batch, Mapping):
        return f"keys {list(batch)}"
    if isinstance(batch, tuple | list):
        shown = ", ".join(_kind(part) for part in batch[:MOST_SHOWN]) + (", ..." if len(batch) > MOST_SHOWN else "")
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
    is_whole = flat.ndim == 1 and bool((flat == flat.floor()).all())
    return flat.to(torch.int64) if is_whole else labels
