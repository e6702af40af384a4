"""Mean and standard error of plain numbers."""

from collections.abc import Iterable
from math import isfinite, sqrt


def mean_and_error(values: Iterable[float]) -> tuple[float, float] | None:
    """Return mean and standard error of the finite values, `None` where there is none; the error of one is infinite."""
    finite = [value for value in values if isfinite(value)]
    if not finite:
        return None
    mean = sum(finite) / len(finite)
    if len(finite) == 1:
        return mean, float("inf")
    squares = sum((value - mean) ** 2 for value in finite)
    return mean, sqrt(squares / (len(finite) - 1) / len(finite))
