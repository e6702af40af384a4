"""The map of places that predictions follow."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lightning_saliency.cues import Cell, select
from lightning_saliency.following._following import Following, check_followings


def place_map(followings: Mapping[str, Following], target_class: int | None = None) -> Tensor:
    """Return how much predictions follow each cell of the grid of 4 x 4: a map of places that needs no saliency.

    Args:
        followings: Results of `follow` with the cues `"cell"`.
        target_class: The class whose donors count; `None` for the mean over classes.

    Returns:
        E of each cell, (4, 4) float64; zero for a cell without a value.

    Raises:
        KeyError: If a cell is missing.

    Example:
        >>> import torch
        >>> from lightning_saliency import follow
        >>> images, labels = torch.zeros(8, 1, 4, 4), torch.arange(8) % 2
        >>> images[:, 0, 3, 0] = labels.float()
        >>> def reads_a_corner(images):
        ...     return torch.stack([1 - images[:, 0, 3, 0], images[:, 0, 3, 0]], dim=1)
        >>> place_map(follow(reads_a_corner, images, labels, ["cell"]))
        tensor([[0., 0., 0., 0.],
                [0., 0., 0., 0.],
                [0., 0., 0., 0.],
                [1., 0., 0., 0.]], dtype=torch.float64)
    """
    check_followings(followings)
    cells = [cue for cue in select(["cell"]) if isinstance(cue, Cell)]
    result = torch.zeros(1 + cells[-1].row, 1 + cells[-1].column, dtype=torch.float64)
    for cell in cells:
        effect = followings[cell.name].effect
        rows = effect.classes == target_class
        value = effect.mean.value if target_class is None else float(effect.values[rows].sum())
        result[cell.row, cell.column] = value
    return result
