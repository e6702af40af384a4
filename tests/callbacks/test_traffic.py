from pathlib import Path

import pytest

from tests.callbacks.traffic import PROCESSES, table, traffic

PAGE = Path(__file__).parents[2] / "docs" / "many-devices.md"


@pytest.mark.parametrize("num_processes", PROCESSES)
@pytest.mark.parametrize(("num_images", "num_methods"), [(64, 2), (256, 10)])
def test_no_process_receives_twice_what_it_needs(num_processes, num_images, num_methods):
    bytes_of = traffic(num_processes, num_images, num_methods)
    assert bytes_of.content <= bytes_of.first < 2 * bytes_of.content
    assert bytes_of.other == traffic(1, num_images, num_methods).other


def test_the_table_in_the_docs_is_the_one_that_is_computed():
    assert table() in PAGE.read_text()
