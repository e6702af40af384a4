"""Approximate solutions of the linear systems of imputation, by corrections on ever coarser grids."""

import math
from typing import Final

import torch
from torch import Tensor

# Grids of at most so many positions are solved by an inverse matrix.
MOST_POSITIONS: Final = 64
# The relaxation that reduces all errors too rough for the coarser grid by a factor of three, whatever the dimension.
STEP: Final = 4 / 3
# Share of the pull of fixed positions that the coarser grid has: with it conjugate gradients need the fewest steps.
SHARE: Final = 0.75


class Multigrid:
    """The equations `total * x = binomial(x)` at free positions, where x is zero at fixed ones, and at coarser grids.

    `binomial` sums a position and its neighbours, weighted 1, 2, 1 in each dimension; outside of the grid there is
    nothing. A coarser grid has every second position of each dimension. Positions without a free neighbour are left
    out there, and the others are pulled to zero as strongly as fixed ones among their neighbours pull.

    Memory is used again: a result of `solve` or `apply` is valid until the next call of the same function.

    Args:
        free: 1 at free positions and 0 at fixed ones, (B, 1, *S).
        num_channels: Number of channels of the values.
        pull: How strongly each position is pulled to zero; `None` for the finest grid, where fixed ones pull.

    References:
        Briggs et al., "A Multigrid Tutorial", 2000.
    """

    def __init__(self, free: Tensor, num_channels: int, pull: Tensor | None = None) -> None:
        around = _Sums.binomial(free)(free)
        if pull is None:
            pull = _Sums.binomial(free)(torch.ones_like(free)) - around
        self.free = free
        self.total = free * (around + pull)
        values = free.new_empty(len(free), num_channels, *free.shape[2:])
        self._sum = _Sums.binomial(values)
        self._applied = torch.empty_like(values)
        self._inverse: Tensor | None = None
        if values[0, 0].numel() <= MOST_POSITIONS:
            self._inverse = self._inverted()
            return
        self._step = torch.where(free > 0, STEP / self.total, 0.0)
        self._values = values
        # Linear interpolation is `doubled` by two per dimension; distances on the coarser grid are twice as long.
        per_dimension = 2.0 ** (free.ndim - 2)
        self._scale = 2.0 ** (2 - sum(size > 1 for size in free.shape[2:])) / per_dimension**2
        halved = _Sums.halved(free)
        few = (halved(free) > 0).to(free)
        self._coarser = Multigrid(few, num_channels, SHARE * per_dimension * self._scale * halved(free * pull))
        self._halved, self._doubled = _Sums.halved(values), _Sums.doubled(values)

    def apply(self, values: Tensor) -> Tensor:
        """Return the left minus the right side of the equations (B, C, *S)."""
        torch.mul(self.total, values, out=self._applied)
        return self._applied.sub_(self._sum(values)).mul_(self.free)

    def solve(self, sides: Tensor) -> Tensor:
        """Return about the values for which `apply` returns this: a linear, symmetric and positive function of it."""
        if self._inverse is not None:
            return torch.matmul(sides.flatten(2), self._inverse).view_as(sides)
        values = torch.mul(self._step, sides, out=self._values)
        # What the first relaxation left, since `total * values` is `STEP * sides`.
        left = self._sum(values).sub_(sides, alpha=STEP - 1).mul_(self.free)
        smooth = self._coarser.solve(self._halved(left).mul_(self._scale))
        values.addcmul_(self.free, self._doubled(smooth))
        left = self._sum(values).add_(sides)
        return values.mul_(1 - STEP).addcmul_(self._step, left)

    def _inverted(self) -> Tensor:
        """Return the inverse matrix (B, P, P) of `apply` at P positions, with ones for those that are fixed."""
        batch, _, *sizes = self.free.shape
        count = math.prod(sizes)
        units = torch.eye(count, dtype=self.free.dtype, device=self.free.device).view(1, count, *sizes)
        units = units.expand(batch, -1, *sizes)
        rows = self.total * units - _Sums.binomial(units)(units * self.free)
        free = self.free.flatten(2)
        matrix = rows.flatten(2) * free + torch.diag_embed(1 - free[:, 0])
        inverse: Tensor = torch.linalg.inv_ex(matrix).inverse
        return inverse * free * free.mT


class _Sums:
    """Additions of parts of some values, (B, C, *S), which are prepared once and done in the same memory each time.

    Args:
        start: Memory for the values.
        additions: Terms and memory for their sum, one addition after the other.
        result: Memory for the result.
    """

    def __init__(self, start: Tensor, additions: list[tuple[Tensor, Tensor, Tensor]], result: Tensor) -> None:
        self._start = start
        self._additions = additions
        self._result = result

    def __call__(self, values: Tensor) -> Tensor:
        """Return the result for these values, which is valid until the next call."""
        self._start.copy_(values)
        for one, other, out in self._additions:
            torch.add(one, other, out=out)
        return self._result

    @classmethod
    def binomial(cls, like: Tensor) -> "_Sums":
        """Sum values and their neighbours, weighted 1, 2, 1 in each dimension."""
        padded = like.new_zeros(*like.shape[:2], *(size + 2 for size in like.shape[2:]))
        # Two pieces of memory in turn: more of them would push each other out of a CPU's caches.
        memory = [torch.empty_like(padded).flatten(), torch.empty_like(padded).flatten()]
        start = result = padded
        additions = []
        for dimension in range(2, like.ndim):
            start = start.narrow(dimension, 1, like.shape[dimension])
            for piece in memory:
                size = result.shape[dimension] - 1
                parts = result.narrow(dimension, 0, size), result.narrow(dimension, 1, size)
                result = piece[: parts[0].numel()].view(parts[0].shape)
                additions.append((*parts, result))
        return cls(start, additions, result)

    @classmethod
    def halved(cls, like: Tensor) -> "_Sums":
        """Sum as `binomial` does at every second position: the transpose of `doubled`."""
        start = result = torch.empty_like(like, memory_format=torch.contiguous_format)
        additions = []
        for dimension in range(2, like.ndim):
            even, odd = _every_second(result, dimension)
            result = torch.empty_like(even, memory_format=torch.contiguous_format)
            count, size = odd.shape[dimension], even.shape[dimension]
            additions.append((even, even, result))
            targets = [(result.narrow(dimension, 0, count), odd)]
            targets += [(result.narrow(dimension, 1, size - 1), odd.narrow(dimension, 0, size - 1))]
            if count == size:
                targets += [(result.narrow(dimension, size - 1, 1), odd.narrow(dimension, size - 1, 1))]
            additions += [(target, term, target) for target, term in targets]
        return cls(start, additions, result)

    @classmethod
    def doubled(cls, like: Tensor) -> "_Sums":
        """Interpolate to the positions of `like`, times two in each dimension; after the last position values stay."""
        start = result = like.new_empty(*like.shape[:2], *(-(-size // 2) for size in like.shape[2:]))
        additions = []
        for dimension in reversed(range(2, like.ndim)):
            coarse, size = result, result.shape[dimension]
            shape = list(coarse.shape)
            shape[dimension] = like.shape[dimension]
            result = like.new_empty(shape)
            even, odd = _every_second(result, dimension)
            last = coarse.narrow(dimension, size - 1, 1)
            ends = coarse.narrow(dimension, 0, size - 1), coarse.narrow(dimension, 1, size - 1)
            additions += [(coarse, coarse, even), (*ends, odd.narrow(dimension, 0, size - 1))]
            if odd.shape[dimension] == size:
                additions.append((last, last, odd.narrow(dimension, size - 1, 1)))
        return cls(start, additions, result)


def _every_second(values: Tensor, dimension: int) -> tuple[Tensor, Tensor]:
    before = (slice(None),) * dimension
    return values[(*before, slice(0, None, 2))], values[(*before, slice(1, None, 2))]
