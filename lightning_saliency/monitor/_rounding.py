"""Numbers as people write them."""


def rounded(value: float, digits: int) -> str:
    """Write a number with so many significant digits, and never as a power of ten below a million."""
    return f"{float(f'{value:.{digits}g}'):g}"
