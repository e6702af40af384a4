"""The cue of one cell of a grid."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from lightning_saliency._checks import check_choice
from lightning_saliency._types import Images
from lightning_saliency.cues._cue import Cue, Evidence, Family
from lightning_saliency.cues._regions import GRID, cell_mask


@dataclass(frozen=True)
class Cell(Cue):
    """One cell of a grid of 4 x 4, at the same place.

    Args:
        row: Row of the cell, 0 at the top.
        column: Column of the cell, 0 on the left.

    Raises:
        ValueError: If there is no such row or column.

    Example:
        >>> import torch
        >>> Cell(3, 0).name
        'cell_3_0'
        >>> Cell(3, 0)(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))[0, 0].nonzero()
        tensor([[3, 0]])
    """

    families: ClassVar[tuple[Family, ...]] = ("place",)
    evidence: ClassVar[Evidence] = "tolerance"
    min_side: ClassVar[int] = GRID
    num_dimensions: ClassVar[int] = 2

    row: int
    column: int

    def __post_init__(self) -> None:
        """Check the place."""
        check_choice("row", self.row, range(GRID))
        check_choice("column", self.column, range(GRID))

    @property
    def name(self) -> str:
        """`cell_<row>_<column>`."""
        return f"cell_{self.row}_{self.column}"

    def transplant(self, hosts: Images, donors: Images, donor_maps: None) -> Images:
        """Put the cell over the hosts."""
        return torch.where(cell_mask((self.row, self.column), hosts.shape[2:], hosts.device), donors, hosts)
