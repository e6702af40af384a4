"""Measures of how far a map has moved since an earlier evaluation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lightning_saliency._types import Maps, Scores
from lightning_saliency.metrics import center_shift, spearman, ssim, top_k_iou
from lightning_saliency.names import check_quantity

__all__ = ["DRIFT_MEASURES", "DriftMeasure"]


@dataclass(frozen=True)
class DriftMeasure:
    """A comparison of two maps that a monitor logs, draws, gates and reports when it is listed in `drift`.

    Attributes:
        name: The part after `drift_` in logged names.
        function: Compares maps (B, *S) with earlier ones, both in [0, 1], image by image: (B,).
        no_change: Its value for equal maps.
        higher_is_better: Whether more similar maps have a higher value.
        text: The measured quantity in a few words, for the card.

    Raises:
        ValueError: If the name would be read as something else.

    Example:
        >>> def difference(first, second):
        ...     return (first - second).abs().flatten(1).mean(dim=1)
        >>> DriftMeasure("difference", difference, 0.0, higher_is_better=False, text="mean difference").name
        'difference'
    """

    name: str
    function: Callable[[Maps, Maps], Scores]
    no_change: float
    higher_is_better: bool
    text: str

    def __post_init__(self) -> None:
        """Refuse a name that could not be parsed back."""
        check_quantity("drift", self.name)


DRIFT_MEASURES: Final = {
    measure.name: measure
    for measure in (
        DriftMeasure("spearman", spearman, 1.0, True, "rank correlation"),
        DriftMeasure("ssim", ssim, 1.0, True, "structural similarity"),
        DriftMeasure("top_k_iou", top_k_iou, 1.0, True, "overlap of the most salient tenths"),
        DriftMeasure("center_shift", center_shift, 0.0, False, "distance between the centres of mass"),
    )
}
