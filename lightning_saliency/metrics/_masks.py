"""The common part of metrics of localisation: masks of the object, and boxes made into masks."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from lightning_saliency._types import Maps, Masks, Scores
from lightning_saliency.metrics._metric import ExplanationMetric
from lightning_saliency.passes.trials import Measured, Trial


class MaskMetric(ExplanationMetric):
    """A metric that compares maps with masks of the object; images whose mask is empty are left out and counted."""

    needs = ("masks",)

    @abstractmethod
    def compare(self, maps: Maps, masks: Masks) -> Scores:
        """Score maps against masks that are not empty, both (B, *S)."""

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""
        masks = cast("Masks", trial.masks)
        scores = self.compare(trial.maps, masks).to(trial.maps.dtype)
        return Measured(torch.where(masks.flatten(1).any(dim=1), scores, torch.nan))


def masks_from_boxes(boxes: Tensor | Sequence[Tensor], size: tuple[int, int]) -> Masks:
    """Mark the pixels whose centres lie in any box of their image.

    Args:
        boxes: Boxes (x1, y1, x2, y2) in pixels from the image's top left corner: (B, 4), (B, N, 4), or one
            tensor (N, 4) for each image, where N may differ and be 0.
        size: Height and width of the images.

    Returns:
        Masks (B, H, W).

    Raises:
        ValueError: If boxes do not have four coordinates.

    Example:
        >>> import torch
        >>> masks_from_boxes(torch.tensor([[1.0, 0.0, 3.0, 1.0]]), (2, 3))
        tensor([[[False,  True,  True],
                 [False, False, False]]])
    """
    return torch.stack([_mask_of(image_boxes, size) for image_boxes in boxes])


def _mask_of(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    if boxes.shape[-1:] != (4,) or boxes.ndim > 2:
        raise ValueError(
            f"Expected the `boxes` of an image to have shape (N, 4), (x1, y1, x2, y2), but got {tuple(boxes.shape)}."
        )
    left, top, right, bottom = boxes.reshape(-1, 4, 1).unbind(dim=1)
    rows, columns = (torch.arange(length, device=boxes.device) + 0.5 for length in size)
    inside_rows, inside_columns = (rows >= top) & (rows < bottom), (columns >= left) & (columns < right)
    return (inside_rows[:, :, None] & inside_columns[:, None, :]).any(dim=0)


def sum_of(values: Tensor) -> Scores:
    """Sum over positions, (B, *S) -> (B,)."""
    return values.flatten(1).sum(dim=1)
