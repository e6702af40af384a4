"""The target that a user means."""

from typing import Any, TypeAlias

from lightning_saliency._checks import check_targets, plain_tensor
from lightning_saliency._types import Targets
from lightning_saliency.targets._class_logit import ClassLogit
from lightning_saliency.targets._target import Target
from lightning_saliency.targets._value import Value

TargetLike: TypeAlias = Targets | Target


def as_target(targets: Any, batch_size: int) -> Target:
    """Return the target that the user means: class indices (B,) are `ClassLogit`, a function is `Value`.

    Raises:
        TypeError: If it is neither a `Target`, a function nor a tensor of integers.
        ValueError: If it is not made for this number of images.
    """
    if isinstance(targets, type):
        raise TypeError(f"`targets` must be a target, but got the class {targets.__name__}.  Make an instance.")
    if isinstance(targets, Target):
        return targets.of(batch_size)
    if callable(targets):
        return Value(targets).of(batch_size)
    check_targets(targets, batch_size)
    return ClassLogit(plain_tensor(targets))
