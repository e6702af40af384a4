"""The protocol of a saliency method: one of this package, a user's function, a wrapped attribution."""

from typing import Any, Protocol, runtime_checkable

from lightning_saliency._types import Images, Maps, Targets


@runtime_checkable
class Method(Protocol):
    """Anything that maps (model, images, targets) to one map per image.

    Example:
        >>> import torch
        >>> def brightness(model, images, targets):
        ...     return images.mean(dim=1)
        >>> isinstance(brightness, Method)
        True
    """

    def __call__(self, model: Any, images: Images, targets: Targets, /) -> Maps:
        """Explain images (B, C, *S) for targets (B,) by raw maps (B, *S)."""
