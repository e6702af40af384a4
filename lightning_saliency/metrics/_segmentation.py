"""The map as a segmentation of the object: overlap, Dice loss and absolute error."""

from dataclasses import field

from lightning_saliency._checks import check_flag, check_fraction
from lightning_saliency._types import Maps, Masks, Scores
from lightning_saliency.metrics._masks import MaskMetric, sum_of
from lightning_saliency.passes import normalize


class MaskIoU(MaskMetric):
    """Intersection over union of the object and the pixels whose normalised saliency exceeds a threshold.

    In [0, 1], higher is better; 0 for a constant map. Scaling and shifting a map change nothing. Images whose mask is
    empty score NaN: the metric leaves them out and counts them.

    Args:
        threshold: Normalised saliency above which a pixel counts as marked.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: If `threshold` does not lie in [0, 1).

    Example:
        >>> import torch
        >>> model, images, targets = torch.nn.Flatten(), torch.rand(1, 1, 2, 2), torch.tensor([0])
        >>> maps, masks = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]]), torch.tensor([[[True, False], [True, False]]])
        >>> MaskIoU().scores(model, images, maps, targets, masks=masks)
        tensor([0.3333])
        >>> MaskIoU(0.2).threshold
        0.2
    """

    higher_is_better = True
    name = "mask_iou"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    threshold: float = 0.5

    def check(self) -> None:
        """Refuse a threshold outside [0, 1)."""
        super().check()
        check_fraction("threshold", self.threshold)

    def compare(self, maps: Maps, masks: Masks) -> Scores:
        """Return the overlap."""
        visible = normalize(maps) > self.threshold
        return sum_of(visible & masks) / sum_of(visible | masks).clamp(min=1)


class LogCoshDice(MaskMetric):
    """Log-cosh of the Dice loss between the normalised map and the object, lower is better.

    log cosh(1 - dice) with dice = (2 sum(map x mask) + 1) / (sum(map) + sum(mask) + 1): from 0 to 0.4338. Scaling
    and shifting a map change nothing. Images whose mask is empty score NaN: the metric leaves them out and counts them.

    Args:
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> model, images, targets = torch.nn.Flatten(), torch.rand(1, 1, 2, 2), torch.tensor([0])
        >>> masks = torch.tensor([[[True, False], [True, False]]])
        >>> LogCoshDice().scores(model, images, masks.float(), targets, masks=masks)
        tensor([0.])

    References:
        Huang and Liu, "Guided AbsoluteGrad", 2024. https://arxiv.org/abs/2404.15564
    """

    higher_is_better = False
    name = "log_cosh_dice"

    def compare(self, maps: Maps, masks: Masks) -> Scores:
        """Return the loss."""
        visible = normalize(maps)
        dice = (2 * sum_of(visible * masks) + 1) / (sum_of(visible) + sum_of(masks) + 1)
        return (1 - dice).cosh().log()


class MapMAE(MaskMetric):
    """Mean absolute difference between the normalised map and the object, in [0, 1], lower is better.

    With `root` its square root, which the paper publishes under the same name. Scaling and shifting a map
    change nothing. Images whose mask is empty score NaN: the metric leaves them out and counts them.

    Args:
        root: Whether to take each image's square root, as the paper's table does.
        name: Key in results and logs; `"map_mae"`, with the root `"map_mae_root"`.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> model, images, targets = torch.nn.Flatten(), torch.rand(1, 1, 2, 2), torch.tensor([0])
        >>> maps, masks = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]]), torch.tensor([[[True, False], [False, False]]])
        >>> MapMAE().scores(model, images, maps, targets, masks=masks)
        tensor([0.2500])
        >>> MapMAE(root=True).name
        'map_mae_root'

    References:
        Huang and Liu, "Guided AbsoluteGrad", 2024. https://arxiv.org/abs/2404.15564
    """

    higher_is_better = False
    name = "map_mae"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    root: bool = field(default=False, kw_only=True)

    def check(self) -> None:
        """Refuse a choice that is no flag."""
        super().check()
        check_flag("root", self.root)

    @property
    def usual_name(self) -> str:
        """The class's name, marked where the root is taken."""
        return "map_mae_root" if self.root else "map_mae"

    def compare(self, maps: Maps, masks: Masks) -> Scores:
        """Return the mean absolute difference, or its root."""
        error = (normalize(maps) - masks.to(maps)).abs().flatten(1).mean(dim=1)
        return error.sqrt() if self.root else error
