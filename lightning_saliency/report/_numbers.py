"""Numbers as people read them."""

import math
from calendar import month_name
from datetime import UTC, datetime
from typing import Final

END_OF_TIME: Final = 253402300800


def number(value: float) -> str:
    """Write a number with three decimals, or with three significant digits if it is very small or large.

    Example:
        >>> number(0.25), number(12.0), number(0.00001), number(float("nan"))
        ('0.250', '12.000', '1e-05', 'not finite')
    """
    if not math.isfinite(value):
        return "not finite"
    return f"{value:.3f}" if value == 0 or 1e-3 <= abs(value) < 1e3 else f"{value:.3g}"


def with_error(value: float, error: float | None) -> str:
    """Write a value and its standard error, if there is one.

    Example:
        >>> with_error(0.25, 0.01), with_error(0.25, 0.00012)
        ('0.250 ± 0.010', '0.250 ± 0.0001')
    """
    if not error:
        return number(value)
    return f"{number(value)} ± {f'{error:.1g}' if error < 1e-3 else number(error)}"


def day(seconds: float) -> str:
    """Write a time in seconds since 1970 as a day, or nothing if it is not a possible time.

    Example:
        >>> day(0), day(-1)
        ('1 January 1970', '')
    """
    if not 0 <= seconds < END_OF_TIME:
        return ""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment.day} {month_name[moment.month]} {moment.year}"
