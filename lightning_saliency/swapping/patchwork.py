"""Cells of a donor put into an image, several at once."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from lightning_saliency._types import Images
from lightning_saliency.cues import Cell, Cue
from lightning_saliency.cues._regions import cell_mask

PORTION: Final = 4
"""An image gets this part of the cells. One cell of 16 would leave a mark where it is in most images."""


def transplanted(group: Sequence[Cue], hosts: Images, donors: Images, generator: torch.Generator) -> Images:
    """Return the hosts (B, C, *S) with the donors' property; of several cells each host gets a quarter, at random."""
    cells = tuple(cue for cue in group if isinstance(cue, Cell))
    if len(cells) < 2:
        return group[0](hosts, donors)
    ranks = torch.rand(len(hosts), len(cells), generator=generator, dtype=torch.float64, device="cpu")
    places = ranks.argsort(dim=1)[:, : -(-len(cells) // PORTION)]
    masks = _masks(cells, tuple(hosts.shape[2:]))[places].any(dim=1)
    return torch.where(masks.to(hosts.device, non_blocking=True), donors, hosts)


@lru_cache(maxsize=8)
def _masks(cells: tuple[Cell, ...], space: tuple[int, ...]) -> Tensor:
    """Mark the cells, (K, 1, *S)."""
    return torch.cat([cell_mask((cell.row, cell.column), space, torch.device("cpu")) for cell in cells])
