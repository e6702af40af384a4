"""Order positions by saliency; ties are broken by one fixed permutation, never by raster order."""

import torch
from torch import Tensor

from lightning_saliency._random import keyed_generator
from lightning_saliency._types import Maps


def descending_order(maps: Maps) -> Tensor:
    """Return positions (B, N) from the most salient to the least.

    Raster order would favour the top of the image among equal values, of which sparse maps are full.
    """
    flat = maps.flatten(1)
    shuffled = torch.randperm(flat.shape[1], generator=keyed_generator("ties")).to(flat.device)
    return shuffled[flat[:, shuffled].sort(dim=1, descending=True, stable=True).indices]


def ranks_of(order: Tensor, maps: Maps) -> Tensor:
    """Invert an order: the rank of every position, 0 for the most salient, of the maps' shape (B, *S)."""
    ranks = torch.empty_like(order)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return ranks.scatter_(1, order, places).reshape(maps.shape)
