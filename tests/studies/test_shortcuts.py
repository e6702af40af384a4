"""The alarm finds at least as many of the bundled networks with shortcuts as when the rule was published."""

import csv
import os
import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "shortcuts" / "bundled.py"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    if not os.environ.get("LIGHTNING_SALIENCY_DATA"):
        pytest.skip("needs LIGHTNING_SALIENCY_DATA, the folder with the trained networks")
    table = tmp_path_factory.mktemp("shortcuts") / "bundled.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(SCRIPT), "--output", str(table)])
        patch.syspath_prepend(str(SCRIPT.parent))
        runpy.run_path(str(SCRIPT), run_name="__main__")
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def alarms(rows: list[dict[str, str]], truth: str, column: str = "alarm", state: int = 1) -> int:
    return sum(row["truth"] == truth and int(row[column]) >= state for row in rows)


def test_shortcuts_are_found_and_honest_networks_are_not_accused(rows: list[dict[str, str]]) -> None:
    assert len(rows) == 118
    assert sum(row["truth"] == "shortcut" for row in rows) == 33
    assert sum(row["truth"] == "honest" for row in rows) == 67
    assert alarms(rows, "shortcut") >= 24
    assert alarms(rows, "honest") <= 1
    assert alarms(rows, "shortcut", "halves", 2) >= 20
    assert alarms(rows, "honest", "halves", 2) <= 1


def test_an_excess_orders_networks(rows: list[dict[str, str]]) -> None:
    excesses = {
        truth: [float(row["excess"]) for row in rows if row["truth"] == truth] for truth in ("shortcut", "honest")
    }
    wins = [(one > other) + (one == other) / 2 for one in excesses["shortcut"] for other in excesses["honest"]]
    assert sum(wins) / len(wins) >= 0.86


def test_names_are_right_by_family(rows: list[dict[str, str]]) -> None:
    caught = [row for row in rows if row["truth"] == "shortcut" and int(row["alarm"])]
    assert sum(int(row["right_family"]) for row in caught) / len(caught) >= 0.9
