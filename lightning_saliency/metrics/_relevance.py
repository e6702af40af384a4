"""Where the relevance lies: pointing game, relevance mass and relevance rank."""

import torch

from lightning_saliency._exact import exact
from lightning_saliency._types import Maps, Masks, Scores, per_image
from lightning_saliency.metrics._masks import MaskMetric, sum_of
from lightning_saliency.passes.ranking import descending_order, ranks_of


class PointingGame(MaskMetric):
    """Whether the most salient pixel lies on the object: 1 or 0.

    Where several pixels share the maximum, the share of them that lies on the object: a constant map scores the
    object's share of the image. Higher is better. Scaling and shifting a map change nothing, and the model
    does not enter. Images whose mask is empty score NaN: the metric leaves them out and counts them.

    Args:
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> model, images, targets = torch.nn.Flatten(), torch.rand(1, 1, 2, 2), torch.tensor([0])
        >>> maps, masks = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]]), torch.tensor([[[True, False], [False, False]]])
        >>> PointingGame().scores(model, images, maps, targets, masks=masks)
        tensor([1.])

    References:
        Zhang et al., "Top-down Neural Attention by Excitation Backprop", 2018. https://arxiv.org/abs/1608.00507
    """

    higher_is_better = True
    name = "pointing_game"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def compare(self, maps: Maps, masks: Masks) -> Scores:
        """Return the share of the maximum that lies on the object."""
        greatest = maps == per_image(maps.flatten(1).amax(dim=1), maps)
        return sum_of(greatest & masks) / sum_of(greatest)


class RelevanceMass(MaskMetric):
    """Share of the positive relevance that lies on the object, in [0, 1].

    Higher is better. Scaling a map changes nothing, shifting it does, and the model does not enter. A map without
    positive relevance scores 0. Images whose mask is empty score NaN: the metric leaves them out and counts them.

    Args:
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> model, images, targets = torch.nn.Flatten(), torch.rand(1, 1, 2, 2), torch.tensor([0])
        >>> maps, masks = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]]), torch.tensor([[[True, False], [False, False]]])
        >>> RelevanceMass().scores(model, images, maps, targets, masks=masks)
        tensor([0.4000])

    References:
        Arras et al., "CLEVR-XAI", 2022. https://arxiv.org/abs/2003.07258
    """

    higher_is_better = True
    name = "relevance_mass"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def compare(self, maps: Maps, masks: Masks) -> Scores:
        """Return the share of the mass on the object."""
        positive = exact(maps.clamp(min=0))
        total = sum_of(positive)
        return sum_of(positive * masks) / torch.where(total > 0, total, 1.0)


class RelevanceRank(MaskMetric):
    """Share of the object's N pixels that are among the map's N most salient, in [0, 1].

    Equal values are ordered by one fixed random permutation. Higher is better. Scaling and shifting a map
    change nothing, and the model does not enter. Images whose mask is empty score NaN: the metric leaves them out and
    counts them.

    Args:
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> model, images, targets = torch.nn.Flatten(), torch.rand(1, 1, 2, 2), torch.tensor([0])
        >>> maps, masks = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]]), torch.tensor([[[True, False], [True, False]]])
        >>> RelevanceRank().scores(model, images, maps, targets, masks=masks)
        tensor([0.5000])

    References:
        Arras et al., "CLEVR-XAI", 2022. https://arxiv.org/abs/2003.07258
    """

    higher_is_better = True
    name = "relevance_rank"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def compare(self, maps: Maps, masks: Masks) -> Scores:
        """Return the share of the object that is most salient."""
        counts = sum_of(masks)
        salient = ranks_of(descending_order(maps), maps) < per_image(counts, maps)
        return sum_of(salient & masks) / counts.clamp(min=1)
