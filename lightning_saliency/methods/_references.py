"""Arguments that all methods with reference images share."""

from torch import Tensor

from lightning_saliency._checks import check_integer
from lightning_saliency.passes.references import References


def checked_references(references: int | References | Tensor) -> int | References:
    """Wrap images, so that the method can be compared and hashed, or check how many are to be drawn."""
    if isinstance(references, Tensor):
        return References(references)
    if not isinstance(references, References):
        check_integer("references", references, minimum=1)
    return references


def missing(references: int | References | Tensor) -> int | None:
    """Return how many images are to be drawn, or `None` where there are images."""
    return references if isinstance(references, int) else None


def filled(references: int | References | Tensor, name: str) -> References:
    """Return the images.

    Raises:
        ValueError: If there is only their number so far.
    """
    if isinstance(references, References):
        return references
    raise ValueError(
        f"Expected reference images in {name!r}, but got only their number, {references!r}: "
        "pass them as a tensor, or call `with_references` first (the monitor does)."
    )
