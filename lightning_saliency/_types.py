"""Shapes of the tensors in signatures, where `space` is (height, width) for pictures, and one helper for them."""

from collections.abc import Callable
from typing import Any, TypeAlias

from jaxtyping import Bool, Float, Int
from torch import Tensor

Images: TypeAlias = Float[Tensor, "batch channels *space"]
Targets: TypeAlias = Int[Tensor, "batch"]
Logits: TypeAlias = Float[Tensor, "batch classes"]
Maps: TypeAlias = Float[Tensor, "batch *space"]
Masks: TypeAlias = Bool[Tensor, "batch *space"]
Scores: TypeAlias = Float[Tensor, "batch"]
Activations: TypeAlias = Float[Tensor, "batch features *grid"]

Model: TypeAlias = Callable[[Tensor], Any]


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """Shape values of each image (B,), or of each channel of it (B, C), so that they broadcast to a tensor.

    Example:
        >>> import torch
        >>> per_image(torch.tensor([1.0, 2.0]), torch.zeros(2, 3, 4, 4)).shape
        torch.Size([2, 1, 1, 1])
    """
    return values.reshape(*values.shape, *[1] * (like.ndim - values.ndim))
