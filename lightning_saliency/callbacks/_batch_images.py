"""Read the images of a training batch, and make a batch of the same type with others."""

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from torch import Tensor

from lightning_saliency._checks import check_images, plain_tensor
from lightning_saliency._types import Images
from lightning_saliency.monitor.batches import IMAGE_KEYS, LABEL_KEYS, kind_of
from lightning_saliency.swapping.swapped import check_labels

# Not described more closely, since configuration tools would refuse functions without equal annotations.
BatchPlace: TypeAlias = Sequence[str | int | None] | tuple[Callable[..., Any], Callable[..., Any]] | None
REMEDY = "Pass `batch`, keys of images and labels, or functions (read, write)."


class TrainingImages(NamedTuple):
    """The images of a batch.

    Attributes:
        images: Images (B, C, *S).
        labels: Labels (B, ...), if there are any.
        replace: Returns a batch of the same type with other images. The batch itself stays as it is.
    """

    images: Images
    labels: Tensor | None
    replace: Callable[[Images], Any]


def check_place(place: object) -> None:
    """Refuse what are neither keys nor functions.

    Raises:
        TypeError: If it is something else.
    """
    if place is None:
        return
    parts = place if isinstance(place, Sequence) and not isinstance(place, str) else ()
    are_keys = len(parts) in (1, 2) and all(isinstance(part, str | int | None) for part in parts)
    if not (are_keys or (len(parts) == 2 and all(map(callable, parts)))):
        raise TypeError(
            "`batch` must be keys of images and labels, such as ('image', 'label'), or a pair of functions "
            f"(read, write), but got {place!r}."
        )


def read_training_batch(batch: Any, place: BatchPlace) -> TrainingImages:
    """Find the images, and perhaps labels, of a batch.

    Raises:
        TypeError: If there are no images of floating point.
        ValueError: If it is unknown where they are, or labels do not have a row for each image.
    """
    images, labels, replace = _find(batch, place)
    try:
        check_images(images)
        check_labels(images, labels)
    except (TypeError, ValueError) as error:
        raise type(error)(f"CueSwap cannot use the images of a training batch: {error}  {REMEDY}") from error
    return TrainingImages(plain_tensor(images), labels, lambda changed: replace(_like(images, changed)))


def _like(images: Tensor, changed: Tensor) -> Tensor:
    """Return the changed images in a tensor of the subclass, with what else such a tensor knows."""
    if type(images) is Tensor:
        return changed
    copied = images.clone()
    plain_tensor(copied).copy_(changed)
    return copied


def _find(batch: Any, place: BatchPlace) -> tuple[Any, Any, Callable[[Images], Any]]:
    first, second = _keys(batch) if place is None else (*place, None)[:2]
    if callable(first) and callable(second):
        parts = first(batch)
        if not isinstance(parts, tuple | list) or len(parts) != 2:
            raise TypeError(f"`batch` must have a function that returns (images, labels), but got {kind_of(parts)}.")
        return *parts, lambda changed: second(batch, changed)
    try:
        images = batch if first is None else _part(batch, first)
        labels = None if second is None else _part(batch, second)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(
            f"`batch` must name parts of a batch, but got {place!r} for {type(batch).__name__} ({error!r})."
        ) from error
    return images, labels, lambda changed: _with_part(batch, first, changed)


def _keys(batch: Any) -> tuple[Any, Any]:
    """Return the keys of images and labels; `None` stands for the batch itself, and for no labels."""
    if isinstance(batch, Tensor):
        return None, None
    if isinstance(batch, tuple | list) and batch:
        return 0, 1 if len(batch) > 1 and isinstance(batch[1], Tensor) else None
    names = _names(batch)
    image_key, label_key = (next((key for key in keys if key in names), None) for keys in (IMAGE_KEYS, LABEL_KEYS))
    if image_key is None:
        raise ValueError(
            f"A training batch must be (images, labels) or have a key among {', '.join(IMAGE_KEYS)} for CueSwap, but "
            f"got {kind_of(batch)}.  {REMEDY}"
        )
    return image_key, label_key


def _names(batch: Any) -> Sequence[Any]:
    if _is_dataclass(batch):
        return [field.name for field in dataclasses.fields(batch)]
    return list(batch) if isinstance(batch, Mapping) else []


def _is_dataclass(batch: Any) -> bool:
    return dataclasses.is_dataclass(batch) and not isinstance(batch, type)


def _part(batch: Any, key: Any) -> Any:
    has_fields = isinstance(key, str) and (_is_dataclass(batch) or isinstance(batch, tuple))
    return getattr(batch, key) if has_fields else batch[key]


def _with_part(batch: Any, key: Any, part: Any) -> Any:
    """Copy a batch, but not its tensors, and replace one of its parts."""
    if key is None:
        return part
    if isinstance(batch, tuple):
        number = key if isinstance(key, int) else batch._fields.index(key)  # type: ignore[attr-defined]
        parts = [part if place == number % len(batch) else other for place, other in enumerate(batch)]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    copied = copy.copy(batch)
    if _is_dataclass(batch):
        object.__setattr__(copied, key, part)  # a frozen one as well
    else:
        copied[key] = part
    return copied
