"""Numbers in sentences are written as people write them."""

import pytest

from lightning_saliency.monitor._rounding import rounded


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(296.4, 2, "300"), (1122.0, 3, "1120"), (31.46, 3, "31.5"), (0.0449, 2, "0.045"), (0.0, 2, "0"), (7.0, 3, "7")],
)
def test_a_number_has_its_first_digits_and_no_power_of_ten(value: float, digits: int, text: str) -> None:
    assert rounded(value, digits) == text
