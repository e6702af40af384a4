"""Checks of arguments, whose errors name the value received and the way out; warnings given once."""

import functools
import math
import warnings
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor


class UnsuitableModelError(ValueError):
    """The model lacks what a method needs, such as a layer with positions; other methods may still explain it."""


def check_integer(name: str, value: object, *, minimum: int) -> None:
    """Refuse a value that is not an integer of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"Expected `{name}` to be a whole number, but got {value!r}.")
    if value < minimum:
        raise ValueError(f"Expected `{name}` to be at least {minimum}, but got {value}.")
    if value >= 2**63:
        raise ValueError(f"`{name}` must be below 2**63, but got {value}.  Pass a smaller number.")


def check_number(name: str, value: Any, *, minimum: float = -math.inf, below: float = math.inf) -> None:
    """Refuse a value that is not a finite number in [`minimum`, `below`)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"Expected `{name}` to be a number, but got {value!r}.")
    if not (math.isfinite(value) and minimum <= value < below):
        raise ValueError(f"Expected `{name}` to lie in [{minimum}, {below}), but got {value}.")


def check_level(name: str, value: Any) -> None:
    """Refuse a strength of noise or blur that is negative, or so large that numbers overflow."""
    check_number(name, value, minimum=0, below=1e4)


def check_flag(name: str, value: object) -> None:
    """Refuse a value that is neither True nor False."""
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be True or False, but got {value!r}.  Pass one of them.")


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Refuse a value that is not among the choices."""
    # Compared with choices of its kind only, since an array compares itself element by element.
    if not any(isinstance(value, type(choice)) and value == choice for choice in choices):
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"Expected `{name}` to be one of {listed}, but got {value!r}.")


def check_fraction(name: str, value: Any) -> None:
    """Refuse a number outside [0, 1); of a number up to 100 the message asks whether a percentage was meant."""
    check_number(name, value)
    if 1 < value <= 100:
        raise ValueError(f"Expected `{name}` to lie in [0, 1), but got {value}: did you mean {value / 100:g}?")
    check_number(name, value, minimum=0, below=1)


def check_model(model: object) -> None:
    """Refuse a model that cannot be called on images."""
    if isinstance(model, type) or not callable(model):
        raise TypeError(
            f"`model` must be an `nn.Module` or a function of images, but got {model!r}.  Pass an instance."
        )


def check_tensor(name: str, value: object, *, ndim: int) -> None:
    """Refuse a value that is not a tensor of real numbers with at least this many dimensions."""
    if not isinstance(value, Tensor) or value.ndim < ndim or value.is_complex() or 0 in value.shape[1:]:
        got = f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(
            f"`{name}` must be a tensor of real numbers with {ndim} or more dimensions, but got {got}.  Pass one."
        )
    check_dense(name, value)


def check_images(images: object) -> None:
    """Refuse images that are not a floating-point batch (B, C, *S) with at least one position."""
    if not isinstance(images, Tensor):
        raise TypeError(f"Expected `images` to be a tensor of shape (B, C, *S), but got {type(images).__name__}.")
    if not images.is_floating_point():
        raise TypeError(
            f"Expected `images` to be floating point, but got {images.dtype}: "
            "convert them as the model expects them, for instance `images.float() / 255`."
        )
    check_dense("images", images)
    if images.ndim < 3 or not images.numel():
        raise ValueError(
            f"Expected `images` to have shape (B, C, *S) with no empty dimension, but got {tuple(images.shape)}."
        )


def plain_tensor(part: Any) -> Any:
    """Take off what a subclass of `Tensor` adds, which functions of torch would return again."""
    kind = type(part)
    if not isinstance(part, Tensor) or kind is Tensor or kind.__torch_dispatch__ is not Tensor.__torch_dispatch__:
        return part
    with torch._C.DisableTorchFunctionSubclass():
        return part.as_subclass(Tensor)


def check_dense(name: str, tensor: Tensor) -> None:
    """Refuse a sparse or nested tensor."""
    if tensor.layout != torch.strided:
        raise TypeError(f"`{name}` must be a dense tensor, but got {tensor.layout}.  Pass `{name}.to_dense()`.")


def check_targets(targets: object, batch_size: int) -> None:
    """Refuse targets that are not one integer per image."""
    if not isinstance(targets, Tensor):
        raise TypeError(f"Expected `targets` to be a tensor of shape (B,), but got {type(targets).__name__}.")
    check_dense("targets", targets)
    if targets.is_floating_point() or targets.dtype == torch.bool:
        raise TypeError(f"Expected `targets` to be class indices, but got {targets.dtype}: pass int64.")
    if targets.shape != (batch_size,):
        raise ValueError(f"Expected `targets` to have shape ({batch_size},), but got {tuple(targets.shape)}.")


def checked_texts(argument: str, choice: object, kind: str) -> tuple[str, ...]:
    """Return a sequence of texts as a tuple; a text alone is refused."""
    if isinstance(choice, Sequence) and not isinstance(choice, str) and all(isinstance(text, str) for text in choice):
        return tuple(choice)
    raise TypeError(f"`{argument}` must be a sequence of {kind}, but got {choice!r}.  Put them in a list.")


def check_classes(targets: Tensor, num_classes: int, name: str = "targets") -> None:
    """Refuse targets for which the model has no logit."""
    if targets.numel() and (targets.min() < 0 or targets.max() >= num_classes):
        worst = targets[(targets < 0) | (targets >= num_classes)][0].item()
        raise ValueError(
            f"Expected `{name}` to lie in [0, {num_classes - 1}], since the model has {num_classes} classes, "
            f"but got {worst}."
        )


def check_maps(name: str, maps: object, images: Tensor) -> None:
    """Refuse maps that are not one map of the images' size for each image."""
    if not isinstance(maps, Tensor):
        raise TypeError(f"Expected the maps of {name!r} to be a tensor, but got {type(maps).__name__}.")
    check_dense(name, maps)
    expected = (images.shape[0], *images.shape[2:])
    if maps.shape != expected:
        raise ValueError(
            f"Expected the maps of {name!r} to have shape {expected}, one value per position, "
            f"but got {tuple(maps.shape)}: reduce channels and upsample to the images' size."
        )


def check_masks(masks: object, images: Tensor) -> None:
    """Refuse masks that are not one boolean mask of the images' size for each image."""
    expected = (images.shape[0], *images.shape[2:])
    if not isinstance(masks, Tensor) or masks.dtype != torch.bool:
        kind = masks.dtype if isinstance(masks, Tensor) else type(masks).__name__
        raise TypeError(f"Expected `masks` to be a boolean tensor, but got {kind}: compare it, as in `masks > 0`.")
    check_dense("masks", masks)
    if masks.shape != expected:
        raise ValueError(f"Expected `masks` to have shape {expected}, but got {tuple(masks.shape)}.")


@functools.cache
def warn_once(message: str) -> None:
    """Warn the first time that this message is given in this process."""
    warnings.warn(message, stacklevel=3)
