"""How much predictions follow a cue, class by class and in the mean."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import torch
from torch import Tensor

PRIOR_VARIANCE: Final = 0.02
"""Added to the variance of donors, whose shares of a few hosts are often all zero or all one."""


class Estimate(NamedTuple):
    """A value with its standard error.

    Args:
        value: The value.
        stderr: Its standard error.

    Example:
        >>> Estimate(0.5, 0.1).above(2)
        0.3
    """

    value: float
    stderr: float

    def above(self, times: float) -> float:
        """Return the value less some standard errors."""
        return self.value - times * self.stderr


@dataclass(frozen=True, eq=False)
class Effect:
    """Values of classes with standard errors, float64 on the CPU; a class without a value is left out.

    Args:
        classes: The classes, (K,), ascending.
        values: Their values, (K,).
        stderrs: Their standard errors, (K,).
        donors: How many donors a class has, (K,).

    Example:
        >>> import torch
        >>> values, stderrs = torch.tensor([1.0, 0.5]), torch.tensor([0.3, 0.4])
        >>> effect = Effect(torch.tensor([3, 7]), values, stderrs, torch.tensor([2, 1]))
        >>> effect.mean
        Estimate(value=0.75, stderr=0.25)
        >>> list(effect.of_classes())
        [3]
    """

    classes: Tensor
    values: Tensor
    stderrs: Tensor
    donors: Tensor

    @cached_property
    def mean(self) -> Estimate:
        """The mean over classes; zero with an infinite standard error where there is no class."""
        if not len(self.classes):
            return Estimate(0.0, torch.inf)
        return Estimate(float(self.values.mean()), float(self.stderrs.square().sum().sqrt()) / len(self.classes))

    def of_classes(self) -> dict[int, Estimate]:
        """Return the estimates of the classes with at least two donors."""
        rows = zip(
            self.classes.tolist(), self.values.tolist(), self.stderrs.tolist(), self.donors.tolist(), strict=True
        )
        return {label: Estimate(value, stderr) for label, value, stderr, donors in rows if donors > 1}


def effect_of(labels: Tensor, shares: Tensor, others: Tensor) -> Effect:
    """Average donors' shares by class, less what donors of other classes do.

    Args:
        labels: Labels of the donors, (N,).
        shares: The share of hosts that go to the label of each donor, (N,); NaN where it has no host.
        others: The share that donors of other classes bring there, (N,); NaN where there are none.
    """
    usable = shares.isfinite() & others.isfinite()
    labels, shares, others = labels[usable], shares[usable], others[usable]
    classes, members = labels.unique(return_inverse=True)
    counts = torch.bincount(members, minlength=len(classes)).double()
    means = _mean_by(members, shares, counts)
    squares = _mean_by(members, (shares - means[members]).square(), counts) * counts
    # The one donor of a class does not tell how donors vary.
    overall = shares.var() if len(shares) > 1 else shares.new_tensor(0.25)
    variances = torch.where(counts > 1, squares / (counts - 1).clamp(min=1), overall)
    return Effect(
        classes,
        means - _mean_by(members, others, counts),
        ((variances + PRIOR_VARIANCE) / counts).sqrt(),
        counts.long(),
    )


def _mean_by(members: Tensor, values: Tensor, counts: Tensor) -> Tensor:
    return counts.new_zeros(len(counts)).index_add_(0, members, values) / counts
