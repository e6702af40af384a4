"""Double precision, on devices that have it."""

from torch import Tensor


def exact(values: Tensor) -> Tensor:
    """Return values in float64; in float32 on a device without it, such as that of Apple's processors.

    Example:
        >>> import torch
        >>> exact(torch.tensor([0.5]))
        tensor([0.5000], dtype=torch.float64)
    """
    try:
        return values.double()
    except TypeError:
        return values.float()
