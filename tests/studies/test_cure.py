"""Swapping cues brings accuracy back that a shortcut costs, and the study of it writes a row for each training."""

import csv
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "shortcuts"


@pytest.fixture
def study(monkeypatch, tmp_path):
    """Return a function that runs the study and returns its rows."""
    monkeypatch.syspath_prepend(str(FOLDER))
    table = tmp_path / "cure.csv"
    before = {*sys.modules}

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["cure.py", *map(str, arguments), "--output", str(table)])
        runpy.run_path(str(FOLDER / "cure.py"), run_name="__main__")
        with table.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    yield run
    for name in {*sys.modules} - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == FOLDER:
            del sys.modules[name]


@pytest.mark.filterwarnings("ignore:SaliencyMonitor")
def test_most_of_the_accuracy_comes_back(study):
    rows = study("--quick")
    assert [row["condition"] for row in rows] == ["plain", "alarm", "named", "all", "bound"]
    plain, alarm, named, every, bound = (float(row["decoupled"]) for row in rows)
    assert plain < 0.3
    assert bound > 0.9
    for cured, share in ((named, 0.9), (every, 0.6), (alarm, 0.8)):
        assert (cured - plain) / (bound - plain) > share
    assert rows[1]["after_alarm"] == "wide_frame:1 places:1"


@pytest.mark.filterwarnings("ignore:SaliencyMonitor")
def test_a_swap_harms_where_the_cue_is_the_class_unless_it_is_allowed(study):
    rows = study("--only", "digits-legitimate-tint-10-flat-12")
    plain, alarm, allow = (float(row["validation"]) for row in rows)
    assert plain > alarm + 0.3
    assert rows[1]["after_alarm"]
    assert rows[0]["weights"] == rows[2]["weights"] != rows[1]["weights"]
    assert allow == plain


def test_rows_that_are_there_are_kept(study, capsys):
    arguments = ("--only", "digits-planted-place-10-flat-11-plain")
    (first,) = study(*arguments)
    assert study(*arguments) == [first], "with its seconds"
    assert capsys.readouterr().out.count("-plain: decoupled") == 1


def test_augmentations_keep_images_and_give_labels_or_shares(study):
    import torch
    from augmentations import augmentation

    torch.manual_seed(0)
    images, labels = torch.rand(8, 3, 32, 32), torch.arange(8)
    for name in ("moved", "erasing", "cutmix", "mixup"):
        changed, targets = augmentation(name, torch.nn.Identity(), 8, 0)(images, labels)
        assert changed.shape == images.shape
        assert not torch.equal(changed, images)
        if name in ("cutmix", "mixup"):
            assert torch.allclose(targets.sum(dim=1), torch.ones(8))
        else:
            assert torch.equal(targets, labels)


def test_each_of_at_most_250_trainings_has_a_name_and_the_cost_is_told_before(study, capsys, monkeypatch):
    from cure_designs import trials

    assert len({trial.name for trial in trials()}) == len(trials()) <= 250
    monkeypatch.setattr(sys, "argv", ["cure.py", "--plan"])
    runpy.run_path(str(FOLDER / "cure.py"), run_name="__main__")
    assert f"{len(trials())} trainings" in capsys.readouterr().out
