"""The base of targets whose parameters are the same for all images, or a tensor with a row for each."""

import copy
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from lightning_saliency.targets._target import Target


class RowTarget(Target):
    """A target that is made for any number of images, until a parameter of it has a row for each.

    Attributes:
        per_image: Names of the attributes that are tensors with a row for each image, or `None`.
    """

    per_image: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **parameters: int | Tensor | None) -> None:
        """Keep parameters: tensors with a row for each image, a whole number for all images, or `None`.

        Raises:
            ValueError: If they have different numbers of rows.
        """
        rows = {name: usable(each) for name, each in parameters.items() if isinstance(each, Tensor)}
        sizes = {name: len(each) for name, each in rows.items()}
        if len(set(sizes.values())) > 1:
            listed = " and ".join(f"{size} in `{name}`" for name, size in sizes.items())
            raise ValueError(
                f"{type(self).__name__} must have one row an image, but got {listed}.  Pass equal numbers."
            )
        self._common = {name: each for name, each in parameters.items() if isinstance(each, int)}
        for name in self.per_image:
            setattr(self, name, rows.get(name))
        self._size: int | None = None
        if sizes:
            self._set_size(next(iter(sizes.values())))

    def __len__(self) -> int:
        if self._size is None:
            raise TypeError(f"`targets` must be for some images, but got {self!r} for any.  Take `of(batch_size)`.")
        return self._size

    def __repr__(self) -> str:
        return type(self).__name__

    def of(self, batch_size: int) -> Self:
        """Return the target of this number of images."""
        if self._size is None:
            twin = copy.copy(self)
            twin._set_size(batch_size)
            return twin
        return super().of(batch_size)

    def take(self, rows: Tensor) -> Self:
        """Return the target of these images."""
        twin = copy.copy(self)
        for name in self.per_image:
            parameter = getattr(self, name)
            setattr(twin, name, None if parameter is None else parameter[rows.to(parameter.device)])
        twin._set_size(len(rows))
        return twin

    def to(self, device: torch.device) -> Self:
        """Return the target on a device."""
        twin = copy.copy(self)
        for name in self.per_image:
            parameter = getattr(self, name)
            setattr(twin, name, None if parameter is None else parameter.to(device))
        return twin

    @property
    def texts(self) -> list[str]:
        """The same words for every image."""
        return [repr(self)] * len(self)

    def joined(self, others: Sequence[Any]) -> Self:
        """Return the target of the images of this one and of others of its kind."""
        twin = copy.copy(self)
        for name in self.per_image:
            parameters = [getattr(part, name) for part in (self, *others)]
            setattr(twin, name, None if parameters[0] is None else torch.cat(parameters))
        twin._set_size(sum(map(len, (self, *others))))
        return twin

    def _set_size(self, size: int) -> None:
        self._size = size
        for name, common in self._common.items():
            if getattr(self, name) is None:
                setattr(self, name, torch.full((size,), common, dtype=torch.int64))


def usable(parameter: Tensor) -> Tensor:
    """Return a tensor that autograd can save, which it cannot do with those that were made in inference mode."""
    with torch.inference_mode(mode=False):
        return parameter.clone() if parameter.is_inference() else parameter.detach()
