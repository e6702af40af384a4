"""What methods with reference images do alike with them."""

from torch import Tensor

from lightning_saliency._checks import check_integer
from lightning_saliency.passes.references import References


def own_references(references: int | References | Tensor) -> int | References:
    """Wrap images, so that the method can be compared and hashed, or check how many are wanted."""
    if isinstance(references, Tensor):
        return References(references)
    if not isinstance(references, References):
        check_integer("references", references, minimum=1)
    return references


def filled(references: int | References | Tensor, name: str) -> References:
    """Return the images.

    Raises:
        ValueError: If there is only their number yet.
    """
    if isinstance(references, References):
        return references
    raise ValueError(
        f"Expected reference images in {name!r}, but got only their number, {references!r}: "
        "pass them as a tensor, or call `with_references` first (the monitor does)."
    )
