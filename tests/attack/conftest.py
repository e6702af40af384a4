"""How many of each attack were tried, at the end of the output."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

TRIED = "tried"


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Note how many attacks of a kind a test has tried."""
    return lambda kind, count: record_property(TRIED, (kind, count))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Sum over tests, also over those that ran in other processes."""
    counts: Counter[str] = Counter()
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        if getattr(report, "when", None) == "call":
            for name, value in report.user_properties:
                if name == TRIED:
                    counts[value[0]] += value[1]
    if counts:
        terminalreporter.section("attacks tried")
        for kind, count in sorted(counts.items()):
            terminalreporter.write_line(f"{count:>8,} {kind}")
