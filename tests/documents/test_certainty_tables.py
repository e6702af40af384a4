"""The tables of the page on certainty are those of the rows in the repository."""

from pathlib import Path

import pytest

from lightning_saliency import SaliencyMonitor

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tables(script):
    return script("studies/certainty_tables")


def test_filling_in_the_tables_changes_nothing(tables):
    page = tables.PAGE.read_text(encoding="utf-8")
    texts = tables.texts()
    assert page.count("<!-- end -->") == len(texts)
    assert all(text in page for text in texts.values())
    assert tables.filled(page, texts) == page


def test_presets_cost_what_the_readme_says_and_at_most_what_was_asked(tables):
    shares = {row["monitor"]: float(row["of the epochs of CIFAR-10"].rstrip("%")) for row in tables.read(tables.COSTS)}
    assert shares["default"] <= 5
    assert shares["fast"] <= 1.5
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"takes {shares['default']:.1f} % of an epoch" in readme
    assert f"takes {shares['fast']:.1f} % of the epochs" in readme


def test_the_fast_preset_decides_as_the_default_as_often_as_it_says(tables):
    name = "every fourth epoch, halves"
    rows = {row["part"]: row for row in tables.read(tables.DECISIONS) if row["candidate"] == name}
    for row in rows.values():
        assert int(row["every"]) == SaliencyMonitor.fast().settings.every_n_epochs
        assert float(row["same_gate"]) == 1
    shares = {part: f"{100 * float(row['same_state']):.0f} %" for part, row in rows.items()}
    assert f"In {shares['report']} of evaluations" in SaliencyMonitor.fast.__doc__
    assert f"in {shares['added']} where nearly all" in SaliencyMonitor.fast.__doc__
