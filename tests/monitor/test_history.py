"""A history stays small enough for every checkpoint."""

import pytest

from lightning_saliency.monitor.history import Record, newest


def history(num_records: int, num_values: int) -> list[Record]:
    names = [f"saliency/{number}" for number in range(num_values)]
    return [Record("fit", epoch, epoch, dict.fromkeys(names, 0.5), {}, {}) for epoch in range(num_records)]


@pytest.mark.parametrize(
    ("num_records", "num_values", "kept"),
    [(0, 1, 0), (7, 0, 7), (1000, 3, 1000), (1003, 3, 1000), (200, 1000, 150), (2, 150_001, 1)],
)
def test_the_newest_records_are_kept(num_records: int, num_values: int, kept: int) -> None:
    records = history(num_records, num_values)
    assert newest(records) == records[num_records - kept :]
