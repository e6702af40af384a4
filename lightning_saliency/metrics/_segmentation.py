"""The map as a segmentation of the object: overlap, Dice loss and absolute error."""

from typing import Any

from lightning_saliency._checks import check_fraction
from lightning_saliency._types import Maps, Masks, Scores
from lightning_saliency.metrics._masks import MaskMetric, check_pair, sum_of, where_masked
from lightning_saliency.passes import normalize


def mask_iou(maps: Maps, masks: Masks, *, threshold: float = 0.5) -> Scores:
    """Intersection over union of the object and the pixels whose normalised saliency exceeds a threshold.

    In [0, 1], higher is better; 0 for a constant map. Scaling and shifting a map change nothing.

    Args:
        maps: Raw maps (B, *S).
        masks: Where the object is, (B, *S) boolean.
        threshold: Normalised saliency above which a pixel counts as marked.

    Returns:
        Scores (B,), NaN where a mask is empty.

    Raises:
        TypeError: If masks are not boolean.
        ValueError: If shapes disagree.

    Example:
        >>> import torch
        >>> mask = torch.tensor([[[True, False], [True, False]]])
        >>> mask_iou(torch.tensor([[[4.0, 3.0], [2.0, 1.0]]]), mask)
        tensor([0.3333])
    """
    check_pair(maps, masks)
    shown = normalize(maps) > threshold
    overlap = sum_of(shown & masks) / sum_of(shown | masks).clamp(min=1)
    return where_masked(overlap.to(maps.dtype), masks)


def log_cosh_dice(maps: Maps, masks: Masks) -> Scores:
    """Log-cosh of the Dice loss between the normalised map and the object, lower is better.

    log cosh(1 - dice) with dice = (2 sum(map x mask) + 1) / (sum(map) + sum(mask) + 1): from 0 to 0.4338. Scaling
    and shifting a map change nothing.

    Args:
        maps: Raw maps (B, *S).
        masks: Where the object is, (B, *S) boolean.

    Returns:
        Scores (B,), NaN where a mask is empty.

    Raises:
        TypeError: If masks are not boolean.
        ValueError: If shapes disagree.

    Example:
        >>> import torch
        >>> mask = torch.tensor([[[True, False], [True, False]]])
        >>> log_cosh_dice(mask.float(), mask)
        tensor([0.])

    References:
        Huang and Liu, "Guided AbsoluteGrad", 2024. https://arxiv.org/abs/2404.15564
    """
    check_pair(maps, masks)
    shown = normalize(maps)
    dice = (2 * sum_of(shown * masks) + 1) / (sum_of(shown) + sum_of(masks) + 1)
    return where_masked((1 - dice).cosh().log(), masks)


def map_mae(maps: Maps, masks: Masks, *, root: bool = False) -> Scores:
    """Mean absolute difference between the normalised map and the object, in [0, 1], lower is better.

    With `root` its square root, which the paper publishes under the same name. Scaling and shifting a map
    change nothing.

    Args:
        maps: Raw maps (B, *S).
        masks: Where the object is, (B, *S) boolean.
        root: Whether to take each image's square root, as the paper's table does.

    Returns:
        Scores (B,), NaN where a mask is empty.

    Raises:
        TypeError: If masks are not boolean.
        ValueError: If shapes disagree.

    Example:
        >>> import torch
        >>> mask = torch.tensor([[[True, False], [False, False]]])
        >>> map_mae(torch.tensor([[[4.0, 3.0], [2.0, 1.0]]]), mask)
        tensor([0.2500])

    References:
        Huang and Liu, "Guided AbsoluteGrad", 2024. https://arxiv.org/abs/2404.15564
    """
    check_pair(maps, masks)
    error = (normalize(maps) - masks.to(maps)).abs().flatten(1).mean(dim=1)
    return where_masked(error.sqrt() if root else error, masks)


class MaskIoU(MaskMetric):
    """Mean `mask_iou` over images, in [0, 1], higher is better.

    Args:
        threshold: Normalised saliency above which a pixel counts as marked.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If `threshold` does not lie in [0, 1).

    Example:
        >>> MaskIoU(0.2).threshold
        0.2
    """

    higher_is_better = True
    name = "mask_iou"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(self, threshold: float = 0.5, *, name: str | None = None, **kwargs: Any) -> None:
        check_fraction("threshold", threshold)
        super().__init__(options=(threshold,), name=name, **kwargs)
        self.threshold = threshold

    def compare(self, maps: Maps, masks: Masks) -> Scores:
        """Score maps against masks, both (B, *S)."""
        return mask_iou(maps, masks, threshold=self.threshold)


class LogCoshDice(MaskMetric):
    """Mean `log_cosh_dice` over images, lower is better.

    Args:
        options: As in `ExplanationMetric`.
        points: As in `ExplanationMetric`.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> LogCoshDice().needs
        ('masks',)
    """

    higher_is_better = False
    name = "log_cosh_dice"

    def compare(self, maps: Maps, masks: Masks) -> Scores:
        """Score maps against masks, both (B, *S)."""
        return log_cosh_dice(maps, masks)


class MapMAE(MaskMetric):
    """Mean `map_mae` over images, in [0, 1], lower is better.

    Args:
        root: Whether to take each image's square root, as the paper's table does.
        name: Key in results and logs; `"map_mae"`, with the root `"map_mae_root"`.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> MapMAE(root=True).name
        'map_mae_root'
    """

    higher_is_better = False
    name = "map_mae"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(self, *, root: bool = False, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(options=(root,), name=name or ("map_mae_root" if root else None), **kwargs)
        self.root = root

    def compare(self, maps: Maps, masks: Masks) -> Scores:
        """Score maps against masks, both (B, *S)."""
        return map_mae(maps, masks, root=self.root)
