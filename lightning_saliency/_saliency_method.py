"""The base of all saliency methods, and the one place where a user's callable becomes such a method."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, ClassVar, Final, Self, cast

import torch
from torch import Tensor

from lightning_saliency._checks import check_images, check_integer, plain_tensor
from lightning_saliency._model import explaining
from lightning_saliency._types import Images, Maps, Model
from lightning_saliency.passes.layers import LayerName
from lightning_saliency.passes.references import References
from lightning_saliency.passes.stream import Reading
from lightning_saliency.targets import ClassLogit, Target, TargetLike, as_target, predicted_class

DEFAULT_BATCH_SIZE: Final = 64


class SaliencyMethod(ABC):
    """A saliency method, with what `explain`, the metrics and the monitor need to know about it.

    Attributes:
        name: Key in results and logs.
        watches_operations: Whether it watches every operation of the network (to replace what flows back, or to read
            biases), which modules sharded over processes do not allow.
        reading: How an ambiguous paper was read; empty where it is clear.
    """

    name: str
    watches_operations: ClassVar[bool] = False
    reading: ClassVar[str] = ""

    @property
    def readings(self) -> tuple[Reading, ...]:
        """Quantities that it shares with other methods: with any, `explain` runs its passes and calls `formula`."""
        return ()

    @property
    def layers(self) -> tuple[LayerName, ...]:
        """Names of the layers that it reads."""
        return tuple(dict.fromkeys(reading.place for reading in self.readings if reading.place is not None))

    def formula(self, images: Images, *values: Any) -> Maps:
        """Make raw maps (B, *S) from the values of the readings for one chunk of images."""
        raise NotImplementedError(f"{self.name!r} has no readings to make maps from.")

    @abstractmethod
    def maps(self, model: Model, images: Images, target: Target, max_batch_size: int) -> Maps:
        """Explain images with a borrowed model; returns raw maps (B, *S)."""

    @property
    def missing_references(self) -> int | None:
        """How many reference images it needs before it can be called; `None` if it needs none."""
        return None

    def with_references(self, images: Images | References) -> Self:
        """Return a copy with these reference images; the same method if it needs none."""
        return self

    def with_normalization(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Self:
        """Return a copy with the mean and std of the images' normalisation; the same method if it has or needs none."""
        return self

    @property
    def has_attribution(self) -> bool:
        """Whether `attribute` returns signed attributions."""
        return False

    def attribute(
        self,
        model: Model,
        images: Images,
        targets: TargetLike | None = None,
        *,
        max_batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Tensor:
        """Return signed attributions.

        Raises:
            TypeError: If the method has none.
        """
        raise TypeError(f"Method {self.name!r} has no signed attributions. Use one such as IntegratedGradients.")

    def baselines(self, images: Images) -> tuple[Images, ...] | None:
        """Return the baselines that the attribution is complete against, or `None` where it is not complete."""
        return None

    def __call__(
        self,
        model: Model,
        images: Images,
        targets: TargetLike | None = None,
        *,
        max_batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Maps:
        """Explain images; `targets=None` explains the predicted classes. Returns raw float32 maps (B, *S)."""
        with prepared(model, images, targets, max_batch_size) as (inputs, target):
            return self.maps(model, inputs, target, max_batch_size).float()


@dataclass(frozen=True)
class CallableMethod(SaliencyMethod):
    """A user's callable `(model, images, targets) -> maps` as a method.

    Declarations of the callable are read here and nowhere else: a number in `references` with a method
    `with_references`, a field `mean` of a dataclass, and `attribute` and `baselines`.
    """

    function: Callable[..., Any]
    name: str

    def maps(self, model: Model, images: Images, target: Target, max_batch_size: int) -> Maps:
        """Call the function with copies, which it may change."""
        result: Maps = self.function(model, images.clone(), target.argument)
        return result

    @property
    def missing_references(self) -> int | None:
        """The number in the callable's `references`, where it has `with_references`."""
        count = getattr(self.function, "references", None)
        return count if isinstance(count, int) and hasattr(self.function, "with_references") else None

    def with_references(self, images: Images | References) -> Self:
        """Pass the references on to the callable."""
        if self.missing_references is None:
            return self
        return replace(self, function=cast("Any", self.function).with_references(images))

    def with_normalization(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Self:
        """Fill the fields `mean` and `std` of a dataclass."""
        if not is_dataclass(self.function) or getattr(self.function, "mean", 0) is not None:
            return self
        return replace(self, function=cast("Any", replace)(self.function, mean=mean, std=std))

    @property
    def has_attribution(self) -> bool:
        """Whether the callable has a method `attribute`."""
        return hasattr(self.function, "attribute")

    def attribute(
        self,
        model: Model,
        images: Images,
        targets: TargetLike | None = None,
        *,
        max_batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Tensor:
        """Call the callable's `attribute(model, images, targets)`."""
        if not self.has_attribution:
            return super().attribute(model, images, targets)
        argument = targets.argument if isinstance(targets, Target) else targets
        result: Tensor = cast("Any", self.function).attribute(model, images, argument)
        return result

    def baselines(self, images: Images) -> tuple[Images, ...] | None:
        """Call the callable's `baselines(images)`, where it has one."""
        if not hasattr(self.function, "baselines"):
            return None
        result: tuple[Images, ...] | None = cast("Any", self.function).baselines(images)
        return result


def as_method(method: Callable[..., Any], name: str) -> SaliencyMethod:
    """Return a method as it is, and any other callable as a method of that name."""
    return method if isinstance(method, SaliencyMethod) else CallableMethod(method, name)


@contextmanager
def prepared(
    model: Model, images: Images, targets: TargetLike | None, max_batch_size: int
) -> Iterator[tuple[Images, Target]]:
    """Check the arguments, borrow the model, and yield images that gradients can be taken of and their target."""
    inputs = differentiable(images)
    check_integer("max_batch_size", max_batch_size, minimum=1)
    with explaining(model):
        yield inputs, target_of(model, inputs, targets, max_batch_size)


def differentiable(images: Images) -> Images:
    """Check images, make plain tensors of them, and copy those made in inference mode, which autograd cannot save."""
    check_images(images)
    images = plain_tensor(images)
    with torch.inference_mode(mode=False):
        return images.clone() if images.is_inference() else images.detach()


def target_of(model: Model, images: Images, targets: TargetLike | None, max_batch_size: int) -> Target:
    """Return the target of the images, or for `None` the predicted classes.

    These, and a target that leaves something open, take one forward for each image.
    """
    target = None if targets is None else as_target(targets, len(images)).to(images.device)
    if target is not None and target.is_complete:
        return target
    chunks = images.split(max_batch_size)
    with torch.no_grad():
        # Copies, since models may change their input in place.
        outputs = (model(chunk.clone()) for chunk in chunks)
        if target is None:
            classes = [
                predicted_class(output, len(chunk)).classes for output, chunk in zip(outputs, chunks, strict=True)
            ]
            return ClassLogit(torch.cat(classes))
        first, *others = [
            part.completed(output) for part, output in zip(target.split(max_batch_size), outputs, strict=True)
        ]
    return first.joined(others)
