"""Mean and standard error of plain numbers."""

from collections.abc import Iterable

import torch

from lightning_saliency._statistics import Sums


def mean_and_error(values: Iterable[float]) -> tuple[float, float] | None:
    """Return mean and standard error of the finite values, `None` if there are none; the error of one is infinite."""
    sums = Sums.of(torch.tensor(list(values), dtype=torch.float64))
    return (sums.mean.item(), sums.standard_error.item()) if sums.number else None
