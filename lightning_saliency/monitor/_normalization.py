"""Find out how the images were normalised: from transforms, pixels, attributes, processors, the network."""

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import ConcatDataset

from lightning_saliency._types import Images
from lightning_saliency.monitor._choice import attribute
from lightning_saliency.monitor._objects import reachable
from lightning_saliency.passes.normalization import Normalization, is_raw

# Images that were resized or made noisy afterwards lie a little outside [0, 1]; what is clearly wrong is refused.
TOLERANCE: Final = 0.75
DARKEST: Final = 0.01
PRESETS: Final = "torchvision.transforms._presets"
SEQUENTIAL: Final = ("Compose", "Sequential")
PAIRS: Final = (("mean", "std"), ("MEAN", "STD"), ("pixel_mean", "pixel_std"))
TRANSFORMS: Final = ("transform", "transforms")
IN_THE_DATA_SET: Final = "`Normalize` among the transforms of the data set"


class Colours(NamedTuple):
    """How images were normalised, and where that is stated.

    Attributes:
        normalization: The normalisation, `None` where it is unknown.
        source: Where it is stated, or why it is unknown.
    """

    normalization: Normalization | None = None
    source: str = "no `Normalize` was found"


class _Unclear(NamedTuple):
    """A normalisation that cannot be undone, and why."""

    reason: str


def colours_of(
    given: Normalization | None, dataset: Any, helpers: Sequence[Any], network: nn.Module, images: Images
) -> Colours:
    """Find the normalisation; it is unknown rather than wrong.

    The data set's transforms come first. Pixels in [0, 1] are taken as raw before anything else is asked, since a
    network that is trained from scratch on raw pixels has a default configuration too.

    Args:
        given: The arguments of the user.
        dataset: The data set.
        helpers: Further objects that a batch goes through: the collate function, the data module, the module.
        network: The network.
        images: Some images as the network gets them.

    Raises:
        ValueError: If what the user says does not lead back to about [0, 1].
    """
    if given is not None:
        _check_range(given, images)
        return Colours(given, "the arguments `mean` and `std`")
    steps = _steps_of_dataset(dataset)
    if steps:
        return _composed(steps, images)
    if is_raw(images):
        return Colours(Normalization.of(0.0, 1.0), "pixels that lie in [0, 1]")
    stated = [one for one in _candidates(dataset, helpers) if one.normalization is not None]
    return _only_one(stated, images) or _of_configuration(network, images) or _unfitting(stated)


def _check_range(given: Normalization, images: Images) -> None:
    raw = given.to_raw(images.float())
    low, high = raw.min().item(), raw.max().item()
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise ValueError(
            f"`mean` and `std` must lead back to raw pixels in [0, 1], but got pixels from {low:.4g} to {high:.4g}: "
            "pass those that the images were normalised with, divided by the largest raw value, such as 255."
        )


def _fits(normalization: Normalization, images: Images) -> bool:
    """Tell whether images come back to about [0, 1], and not to a sliver of it."""
    if any(len(values) not in (1, images.shape[1]) for values in _pair(normalization)):
        return False
    raw = normalization.to_raw(images.float())
    is_dark = bool(raw.abs().max() < DARKEST) and bool(raw.max() > raw.min())
    return bool(raw.min() >= -TOLERANCE and raw.max() <= 1 + TOLERANCE) and not is_dark


def _composed(steps: Sequence[Normalization | _Unclear], images: Images) -> Colours:
    unclear = next((step for step in steps if isinstance(step, _Unclear)), None)
    if unclear is not None:
        return Colours(None, unclear.reason)
    normalization = reduce(_after, (step for step in steps if isinstance(step, Normalization)))
    if not _fits(normalization, images):
        return Colours(None, f"{IN_THE_DATA_SET} does not lead back to pixels in [0, 1]")
    return Colours(normalization, IN_THE_DATA_SET)


def _after(first: Normalization, second: Normalization) -> Normalization:
    """Return the one normalisation that does what two do one after the other."""
    means, stds, more_means, more_stds = (
        torch.tensor(values, dtype=torch.float64) for values in (*_pair(first), *_pair(second))
    )
    return Normalization.of(means + stds * more_means, stds * more_stds) or first


def _pair(normalization: Normalization) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return normalization.mean, normalization.std


def _unfitting(stated: Sequence[Colours]) -> Colours:
    """Say that what is stated does not fit, as where raw pixels are no pixels but measurements of a satellite."""
    return Colours(None, f"by {stated[0].source} pixels do not come back to [0, 1]") if stated else Colours()


def _only_one(stated: Sequence[Colours], images: Images) -> Colours | None:
    """Return what fits if all that fits is the same."""
    fitting = [one for one in stated if one.normalization is not None and _fits(one.normalization, images)]
    distinct = {_rounded(one.normalization, images) for one in fitting if one.normalization is not None}
    if len(distinct) > 1:
        return Colours(None, f"{len(distinct)} different normalizations were found")
    return fitting[0] if fitting else None


def _rounded(normalization: Normalization, images: Images) -> tuple[float, ...]:
    expanded = (torch.tensor(values).expand(images.shape[1]) for values in _pair(normalization))
    return tuple(round(value, 5) for values in expanded for value in values.tolist())


def _of_configuration(network: nn.Module, images: Images) -> Colours | None:
    for module in network.modules():
        configuration = getattr(module, "pretrained_cfg", None)
        if isinstance(configuration, dict) and configuration.get("mean"):
            normalization = _normalization(configuration["mean"], configuration["std"])
            if normalization is not None and _fits(normalization, images):
                return Colours(normalization, f"`pretrained_cfg` of {type(module).__name__}")
    return None


def _candidates(dataset: Any, helpers: Sequence[Any]) -> Iterator[Colours]:
    """List normalisations that the data set and what a batch goes through hold in any way."""
    for root in (dataset, *helpers):
        name = getattr(root, "__name__", type(root).__name__)
        for mean, std in PAIRS:
            yield Colours(
                _normalization(attribute(root, mean), attribute(root, std)), f"`{mean}` and `{std}` of {name}"
            )
        for one in reachable(root, _is_sequence):
            kind = type(one).__name__
            if hasattr(one, "image_mean") and getattr(one, "do_normalize", True):
                yield Colours(_normalization(one.image_mean, getattr(one, "image_std", None)), f"{kind} in {name}")
            elif _is_sequence(one):
                steps = _steps(one)
                clear = [step for step in steps if isinstance(step, Normalization)]
                if clear and len(clear) == len(steps):
                    yield Colours(reduce(_after, clear), f"`Normalize` in {name}")


def _steps_of_dataset(dataset: Any) -> list[Normalization | _Unclear]:
    """List the normalisations of a data set, from the innermost data set outwards."""
    if isinstance(dataset, ConcatDataset):
        first, *others = [_steps_of_dataset(part) for part in dataset.datasets]
        return first if all(steps == first for steps in others) else [_Unclear("concatenated data sets differ")]
    inner = _inner(dataset)
    transform = _transform_of(dataset)
    if inner is None:
        return _steps(transform)
    return _steps_of_dataset(inner) + ([] if _has_transform(inner, transform) else _steps(transform))


def _inner(dataset: Any) -> Any:
    """Return the data set that another one wraps, `None` if it wraps none."""
    parts = (attribute(dataset, name) for name in ("dataset", "subset"))
    return next((part for part in parts if _is_dataset(part)), None)


def _transform_of(dataset: Any) -> Any:
    transforms = (attribute(dataset, name) for name in TRANSFORMS)
    return next((transform for transform in transforms if transform is not None), None)


def _has_transform(dataset: Any, transform: Any) -> bool:
    """Tell whether a data set or one in it applies a transform, which a data set around it shows as its own."""
    while dataset is not None:
        if any(attribute(dataset, name) is transform for name in TRANSFORMS):
            return True
        dataset = _inner(dataset)
    return False


def _is_dataset(part: Any) -> bool:
    return hasattr(part, "__getitem__") and not isinstance(part, str | bytes | Tensor | dict)


def _steps(transform: Any) -> list[Normalization | _Unclear]:
    """List the normalisations of a transform in their order."""
    parts = _parts_of(transform)
    if parts is not None:
        return [step for part in parts for step in _steps(part)]
    if _is_normalize(transform):
        return [_step(transform)]
    if any(hasattr(transform, name) for name in ("transforms", "p", "random_apply")) and any(
        _is_normalize(one) for one in reachable(transform)
    ):
        return [_Unclear(f"{type(transform).__name__} normalizes some images only")]
    return []


def _parts_of(transform: Any) -> Sequence[Any] | None:
    """Return what a transform applies one after the other, always, `None` if it is not of this kind."""
    if isinstance(transform, list | tuple):
        return transform
    if type(transform).__name__ == "StandardTransform":  # torchvision wraps a data set's transform
        return [transform.transform]
    if not _always_applies(transform):
        return None
    if isinstance(transform, nn.Sequential):
        return list(transform.children())
    parts = getattr(transform, "transforms", None)
    is_sequential = type(transform).__name__ in SEQUENTIAL and isinstance(parts, list | tuple | nn.ModuleList)
    return list(parts) if is_sequential and parts is not None else None


def _is_sequence(one: Any) -> bool:
    return not isinstance(one, list | tuple) and (_is_normalize(one) or _parts_of(one) is not None)


def _always_applies(transform: Any) -> bool:
    probability = getattr(transform, "p", 1.0)
    return not getattr(transform, "random_apply", False) and not (
        isinstance(probability, int | float) and probability < 1
    )


def _is_normalize(transform: Any) -> bool:
    is_of_kind = type(transform).__name__ == "Normalize" or type(transform).__module__ == PRESETS
    return is_of_kind and (hasattr(transform, "mean") or "mean" in _flags(transform))


def _flags(transform: Any) -> dict[str, Any]:
    """Return where kornia's augmentations keep their arguments."""
    flags = getattr(transform, "flags", None)
    return flags if isinstance(flags, dict) else {}


def _step(transform: Any) -> Normalization | _Unclear:
    flags = _flags(transform)
    mean, std = (flags.get(name, getattr(transform, name, None)) for name in ("mean", "std"))
    kind = getattr(transform, "normalization", "standard")
    if kind != "standard":
        return _Unclear(f"`Normalize` with normalization={kind!r} uses values of each image")
    if not _always_applies(transform):
        return _Unclear("`Normalize` normalizes some images only")
    return _normalization(mean, std) or _Unclear("`Normalize` has values that are not numbers")


def _normalization(mean: Any, std: Any) -> Normalization | None:
    if mean is None or std is None or callable(mean) or callable(std):
        return None
    try:
        return Normalization.of(mean, std)
    except (TypeError, ValueError, RuntimeError):
        return None
