"""Read what networks return, and refuse by name what a target cannot read."""

from typing import Any, Final

import torch
from torch import Tensor

from lightning_saliency._types import Logits

WAY_OUT: Final = (
    "wrap the model so that it returns one row of class logits per image, "
    "or tell the monitor where they are with its `model` and `output` arguments"
)
OTHER_TARGETS: Final = "for other outputs pass a `target` from `lightning_saliency.targets`"


def class_logits(output: Any, batch_size: int | None) -> Logits:
    """Read logits of classes (B, K) from an output; a single logit z becomes the pair (-z/2, z/2).

    Args:
        output: Output of the model.
        batch_size: The number of images B, or `None` for any.

    Raises:
        TypeError: If the output is not a tensor of real numbers in floating point.
        ValueError: If it does not have one row of logits per image.
    """
    if not isinstance(output, Tensor):
        raise TypeError(
            f"Expected the model to return a tensor of logits, but got {kind_of(output)}: {WAY_OUT}; {OTHER_TARGETS}."
        )
    _check_real(output)
    if output.ndim != 2 or batch_size not in (None, output.shape[0]) or not output.shape[1]:
        batch = "" if batch_size is None else f" for a batch of {batch_size}"
        raise ValueError(
            f"Expected logits of shape (B, K){batch}, but got {tuple(output.shape)}: {WAY_OUT}; {OTHER_TARGETS}."
        )
    if output.shape[1] == 1:
        return torch.cat([-output / 2, output / 2], dim=1)
    return output


def tensor_of(output: Any, batch_size: int | None, shape: str, target: str) -> Tensor:
    """Return an output that is a tensor with a row for each image.

    Args:
        output: Output of the model.
        batch_size: The number of images B, or `None` for any.
        shape: The shape that the target reads, such as `"(B, D)"`.
        target: Name of the target.

    Raises:
        TypeError: If the output is not a tensor of real numbers in floating point.
        ValueError: If it has another number of rows.
    """
    if not isinstance(output, Tensor):
        raise TypeError(
            f"The output of the model must be a tensor {shape} for {target}, but got {kind_of(output)}.  "
            "Tell the monitor where it is with its `output` argument, or wrap the model."
        )
    _check_real(output)
    if not output.ndim or batch_size not in (None, output.shape[0]):
        raise wrong_shape(output, shape, target)
    return output


def _check_real(output: Tensor) -> None:
    if not output.is_floating_point():
        raise TypeError(
            f"The output of the model must be floating point, but got {output.dtype}.  Return the values before they "
            "are rounded or compared, and the real part or the magnitude of complex ones."
        )
    if output.layout is not torch.strided or output.is_nested:
        kind = "a nested tensor" if output.is_nested else output.layout
        raise TypeError(f"The output of the model must be dense, but got {kind}.  Return a tensor with all its values.")


def wrong_shape(output: Tensor, shape: str, target: str) -> ValueError:
    """Say which shape a target reads."""
    return ValueError(
        f"The output of the model must have shape {shape} for {target}, but got {tuple(output.shape)}.  "
        "Tell the monitor where it is with its `output` argument, or pass another target."
    )


def kind_of(output: Any) -> str:
    """Describe an output that is not a tensor."""
    keys = f" with keys {list(output)}" if isinstance(output, dict) else ""
    return type(output).__name__ + keys
