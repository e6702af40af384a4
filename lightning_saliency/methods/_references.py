"""Arguments that all methods with reference images share."""

from torch import Tensor

from lightning_saliency._checks import check_choice, check_integer, warn_once
from lightning_saliency.passes.references import REFERENCE_CLASSES, References


def checked_references(references: int | References | Tensor) -> int | References:
    """Wrap images, so that the method can be compared and hashed, or check how many are to be drawn."""
    if isinstance(references, Tensor):
        references = References(references)
    if isinstance(references, References) and references.pattern:
        warn_once(
            f"All reference images have the same pattern at one place ({references.pattern}), such as a watermark. "
            "Expected gradients give no relevance to what an image has in common with its references, so that the "
            "pattern is hidden where images have it, too. Pass references without it, or with labels and "
            'reference_classes="other" if images of other classes do not have it.'
        )
    if not isinstance(references, References):
        check_integer("references", references, minimum=1)
    return references


def check_reference_classes(classes: object) -> None:
    """Refuse an unknown choice of references by class."""
    check_choice("reference_classes", classes, REFERENCE_CLASSES)


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
