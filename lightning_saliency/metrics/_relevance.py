"""Where the relevance lies: pointing game, relevance mass and relevance rank."""

import torch

from lightning_saliency._types import Maps, Masks, Scores
from lightning_saliency.metrics._masks import MaskMetric, check_pair, sum_of, where_masked
from lightning_saliency.passes.ranking import descending_order, ranks_of


def pointing_game(maps: Maps, masks: Masks) -> Scores:
    """Whether the most salient pixel lies on the object: 1 or 0.

    Where several pixels share the maximum, the share of them that lies on the object: a constant map scores the
    object's share of the image. Higher is better. Scaling and shifting a map change nothing, and the model
    does not enter.

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
        >>> mask = torch.tensor([[[True, False], [False, False]]])
        >>> pointing_game(torch.tensor([[[4.0, 3.0], [2.0, 1.0]]]), mask)
        tensor([1.])

    References:
        Zhang et al., "Top-down Neural Attention by Excitation Backprop", 2018. https://arxiv.org/abs/1608.00507
    """
    check_pair(maps, masks)
    greatest = maps == maps.flatten(1).amax(dim=1).reshape(-1, *[1] * (maps.ndim - 1))
    return where_masked((sum_of(greatest & masks) / sum_of(greatest)).to(maps.dtype), masks)


def relevance_mass(maps: Maps, masks: Masks) -> Scores:
    """Share of the positive relevance that lies on the object, in [0, 1].

    Higher is better. Scaling a map changes nothing, shifting it does, and the model does not enter. A map without
    positive relevance scores 0.

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
        >>> mask = torch.tensor([[[True, False], [False, False]]])
        >>> relevance_mass(torch.tensor([[[4.0, 3.0], [2.0, 1.0]]]), mask)
        tensor([0.4000])

    References:
        Arras et al., "CLEVR-XAI", 2022. https://arxiv.org/abs/2003.07258
    """
    check_pair(maps, masks)
    positive = maps.clamp(min=0).double()
    total = sum_of(positive)
    share = sum_of(positive * masks) / torch.where(total > 0, total, 1.0)
    return where_masked(share.to(maps.dtype), masks)


def relevance_rank(maps: Maps, masks: Masks) -> Scores:
    """Share of the object's N pixels that are among the map's N most salient, in [0, 1].

    Equal values are ordered by one fixed random permutation. Higher is better. Scaling and shifting a map
    change nothing, and the model does not enter.

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
        >>> relevance_rank(torch.tensor([[[4.0, 3.0], [2.0, 1.0]]]), mask)
        tensor([0.5000])

    References:
        Arras et al., "CLEVR-XAI", 2022. https://arxiv.org/abs/2003.07258
    """
    check_pair(maps, masks)
    counts = sum_of(masks)
    salient = ranks_of(descending_order(maps), maps) < counts.reshape(-1, *[1] * (maps.ndim - 1))
    return where_masked((sum_of(salient & masks) / counts.clamp(min=1)).to(maps.dtype), masks)


class PointingGame(MaskMetric):
    """Mean `pointing_game` over images, in [0, 1], higher is better.

    Args:
        options: As in `ExplanationMetric`.
        points: As in `ExplanationMetric`.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> PointingGame().needs
        ('masks',)
    """

    higher_is_better = True
    name = "pointing_game"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def compare(self, maps: Maps, masks: Masks) -> Scores:
        """Score maps against masks, both (B, *S)."""
        return pointing_game(maps, masks)


class RelevanceMass(MaskMetric):
    """Mean `relevance_mass` over images, in [0, 1], higher is better.

    Args:
        options: As in `ExplanationMetric`.
        points: As in `ExplanationMetric`.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> RelevanceMass().needs
        ('masks',)
    """

    higher_is_better = True
    name = "relevance_mass"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def compare(self, maps: Maps, masks: Masks) -> Scores:
        """Score maps against masks, both (B, *S)."""
        return relevance_mass(maps, masks)


class RelevanceRank(MaskMetric):
    """Mean `relevance_rank` over images, in [0, 1], higher is better.

    Args:
        options: As in `ExplanationMetric`.
        points: As in `ExplanationMetric`.
        name: Key in results and logs.
        kwargs: Passed on to `torchmetrics.Metric`.

    Example:
        >>> RelevanceRank().needs
        ('masks',)
    """

    higher_is_better = True
    name = "relevance_rank"
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def compare(self, maps: Maps, masks: Masks) -> Scores:
        """Score maps against masks, both (B, *S)."""
        return relevance_rank(maps, masks)
