"""Similarity of two sets of maps: for drift over epochs and for sanity checks."""

import math
from typing import Final

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from lightning_saliency._checks import check_fraction, check_maps, check_tensor
from lightning_saliency._exact import exact
from lightning_saliency._types import Maps, Scores, per_image
from lightning_saliency.passes import normalize
from lightning_saliency.passes._normalize import flattened
from lightning_saliency.passes.ranking import descending_order, ranks_of

SIGMA: Final = 1.5
REACH: Final = 5


def spearman(first: Maps, second: Maps) -> Scores:
    """Rank correlation of two maps, in [-1, 1]; equal values share their mean rank.

    Two constant maps score 1, one constant map beside another 0. Increasing transformations change nothing.

    Args:
        first: Raw maps (B, *S).
        second: Raw maps (B, *S).

    Returns:
        Similarities (B,).

    Raises:
        ValueError: If shapes disagree.

    Example:
        >>> import torch
        >>> ramp = torch.arange(4.0).reshape(1, 2, 2)
        >>> spearman(ramp, -ramp)
        tensor([-1.])
    """
    _check_pair(first, second)
    ranks, others = _mean_ranks(flattened(first)), _mean_ranks(flattened(second))
    spread, other_spread = ranks.square().sum(dim=1), others.square().sum(dim=1)
    scale = (spread * other_spread).sqrt()
    correlation = ((ranks * others).sum(dim=1) / torch.where(scale > 0, scale, 1.0)).clamp(-1, 1)
    return torch.where((spread == 0) & (other_spread == 0), 1.0, correlation).to(first.dtype)


def ssim(first: Maps, second: Maps) -> Scores:
    """Structural similarity of two normalised maps, in [-1, 1], averaged over Gaussian windows.

    Windows have a standard deviation of 1.5 pixels and reach 5 pixels; borders are mirrored, so that maps
    may be of any size. Two constant maps score 1.

    Args:
        first: Raw maps (B, *S) with one to three spatial dimensions.
        second: Raw maps (B, *S).

    Returns:
        Similarities (B,).

    Raises:
        ValueError: If shapes disagree.

    Example:
        >>> import torch
        >>> ramp = torch.arange(4.0).reshape(1, 2, 2)
        >>> ssim(ramp, 3 * ramp + 1)
        tensor([1.])

    References:
        Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004.
        https://doi.org/10.1109/TIP.2003.819861
    """
    _check_pair(first, second)
    x, y = (_mirrored(_as_picture(normalize(maps))) for maps in (first, second))
    _, image = structural_similarity_index_measure(x, y, sigma=SIGMA, data_range=1.0, return_full_image=True)
    # Mirrored here and cut back, since torchmetrics continues maps in another way and takes no small ones.
    for dimension in range(2, image.ndim):
        image = image.narrow(dimension, REACH, image.shape[dimension] - 2 * REACH)
    return image.flatten(1).mean(dim=1)


def _as_picture(maps: Maps) -> Tensor:
    """Add a channel, and a second dimension to lines: (B, *S) -> (B, 1, H, W) or (B, 1, D, H, W)."""
    return maps[:, None, None] if maps.ndim == 2 else maps[:, None]


def _mirrored(pictures: Tensor) -> Tensor:
    """Continue pictures on every side by their mirror images, the edge pixel included."""
    for dimension in range(2, pictures.ndim):
        size = pictures.shape[dimension]
        places = torch.arange(-REACH, size + REACH, device=pictures.device) % (2 * size)
        pictures = pictures.index_select(dimension, torch.minimum(places, 2 * size - 1 - places))
    return pictures


def top_k_iou(first: Maps, second: Maps, *, fraction: float = 0.1) -> Scores:
    """Intersection over union of the most salient pixels of two maps, in [0, 1].

    Exactly that fraction of the pixels, at least one; equal values are ordered by one fixed random
    permutation, so that constant maps agree.

    Args:
        first: Raw maps (B, *S).
        second: Raw maps (B, *S).
        fraction: Fraction of the pixels.

    Returns:
        Similarities (B,).

    Raises:
        ValueError: If shapes disagree.

    Example:
        >>> import torch
        >>> ramp = torch.arange(4.0).reshape(1, 2, 2)
        >>> top_k_iou(ramp, -ramp, fraction=0.75)
        tensor([0.5000])
    """
    check_fraction("fraction", fraction)
    _check_pair(first, second)
    count = max(1, round(fraction * first[0].numel()))
    pair = flattened(first), flattened(second)
    top, other = (ranks_of(descending_order(maps), maps).flatten(1) < count for maps in pair)
    return ((top & other).sum(dim=1) / (top | other).sum(dim=1)).to(first.dtype)


def center_shift(first: Maps, second: Maps) -> Scores:
    """Distance between the centres of mass of two normalised maps, in units of the diagonal: 0 to 1.

    The centre of a constant map is the middle.

    Args:
        first: Raw maps (B, *S).
        second: Raw maps (B, *S).

    Returns:
        Similarities (B,).

    Raises:
        ValueError: If shapes disagree.

    Example:
        >>> import torch
        >>> center_shift(torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]), torch.tensor([[[0.0, 0.0], [0.0, 1.0]]]))
        tensor([1.])
    """
    _check_pair(first, second)
    diagonal = math.hypot(*(length - 1 for length in first.shape[1:]))
    distance: Scores = torch.linalg.vector_norm(_centers(first) - _centers(second), dim=1)
    return distance / max(diagonal, 1.0)


def _check_pair(first: Maps, second: Maps) -> None:
    check_tensor("first", first, ndim=2)
    check_tensor("second", second, ndim=2)
    check_maps("first", first, second[:, None])


def _mean_ranks(maps: Maps) -> Tensor:
    """Return ranks about their mean (B, N), equal values sharing one."""
    ascending, order = maps.flatten(1).sort(dim=1)
    count = order.shape[1]
    rises = ascending[:, 1:] != ascending[:, :-1]
    edge = rises.new_ones(len(rises), 1)
    places = torch.arange(count, device=maps.device).expand_as(order)
    # Equal values share the places from the first of them up to the next larger value's.
    first = torch.where(torch.cat([edge, rises], dim=1), places, 0).cummax(dim=1).values
    beyond = torch.where(torch.cat([rises, edge], dim=1), places + 1, count).flip(1).cummin(dim=1).values.flip(1)
    ranks = exact(first + beyond) / 2 - count / 2
    return torch.empty_like(ranks).scatter_(1, order, ranks)


def _centers(maps: Maps) -> Tensor:
    weights = normalize(maps)
    total = weights.flatten(1).sum(dim=1)
    weights = torch.where(per_image(total > 0, maps), weights, torch.ones_like(weights))
    total = weights.flatten(1).sum(dim=1)
    axes = [torch.arange(length, dtype=maps.dtype, device=maps.device) for length in maps.shape[1:]]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
    return weights.flatten(1) @ grid.T / total[:, None]
