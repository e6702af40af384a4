"""Mean and standard error, from sums that processes can add up."""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from lightning_saliency._exact import exact


class Sums(NamedTuple):
    """Number, sum and sum of squares of values.

    Example:
        >>> import torch
        >>> sums = Sums.of(torch.tensor([1.0, 2.0, 3.0, torch.nan]))
        >>> sums.mean, round(sums.standard_error.item(), 4)
        (tensor(2., dtype=torch.float64), 0.5774)
    """

    number: Tensor
    total: Tensor
    squares: Tensor

    @classmethod
    def of(cls, values: Tensor) -> Self:
        """Sum the finite values (N, ...) over their first dimension, in double precision."""
        finite = torch.isfinite(values)
        values = torch.where(finite, exact(values), 0.0)
        return cls(exact(finite.sum(dim=0)), values.sum(dim=0), values.square().sum(dim=0))

    @property
    def mean(self) -> Tensor:
        """The mean; NaN where there is no value."""
        return self.total / self.number

    @property
    def standard_error(self) -> Tensor:
        """The standard error of the mean; infinite where there are fewer than two values."""
        centred = (self.squares - self.total.square() / self.number).clamp(min=0)
        return torch.where(self.number > 1, (centred / (self.number - 1) / self.number).sqrt(), torch.inf)
