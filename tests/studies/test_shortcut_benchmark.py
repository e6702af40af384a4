"""The benchmark of the alarm plants signs that only some classes have, keeps trainings, and writes a row for each."""

import csv
import os
import runpy
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "examples" / "shortcuts"


@pytest.fixture
def scripts(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("LIGHTNING_SALIENCY_STORE", str(tmp_path / "store"))
    before = {*sys.modules}
    yield
    for name in {*sys.modules} - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == FOLDER:
            del sys.modules[name]


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["benchmark.py", *map(str, arguments)])
    runpy.run_path(str(FOLDER / "benchmark.py"), run_name="__main__")


def test_every_kind_of_sign_changes_the_images_of_its_classes_and_no_others(scripts):
    from signs import FAMILY, NEW, SIGNS, plant, touched

    images = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    codes = torch.arange(40) % 10
    assert {*FAMILY} == {*SIGNS} > {*NEW}
    for kind in SIGNS:
        planted = plant(images, codes, kind, 0)
        assert planted.shape == images.shape
        assert 0 <= planted.min() <= planted.max() <= 1
        changed = (planted != images).flatten(1).any(dim=1)
        classes = {*codes[changed].tolist()}
        assert classes <= {*touched(kind)}
        # A sign of degrees is nothing at one end.
        assert len(classes) >= len(touched(kind)) - (
            kind in ("contrast", "blur", "size", "grain", "vignette", "blocks")
        )
        assert torch.equal(plant(images, torch.full((40,), -1), kind, 0), images)
        assert torch.equal(planted, plant(images, codes, kind, 0))


def test_signs_agree_with_labels_as_often_as_asked_for(scripts):
    from store import drawn_codes

    labels = torch.arange(10).repeat(1000)
    assert torch.equal(drawn_codes(labels, 1.0, 0), labels)
    # One in ten of those drawn from all agrees, too.
    assert (drawn_codes(labels, 0.8, 0) == labels).float().mean().item() == pytest.approx(0.82, abs=0.02)
    assert (drawn_codes(labels, 0.0, 0) == labels).float().mean().item() == pytest.approx(0.1, abs=0.02)


def test_a_training_has_a_row_and_is_not_run_twice(scripts, monkeypatch, tmp_path, capsys):
    table = tmp_path / "benchmark.csv"
    run(monkeypatch, "--quick", "--output", table)
    with table.open(newline="", encoding="utf-8") as file:
        rows = {row["control"]: row for row in csv.DictReader(file)}
    assert rows["planted"]["truth"] == "shortcut"
    assert float(rows["planted"]["fall"]) > 0.2
    assert rows["clean"]["truth"] == "honest"
    assert all(len(row["states"].split()) == 3 for row in rows.values())
    assert len([*(tmp_path / "store").glob("*.pt")]) == 2
    content = table.read_text()
    capsys.readouterr()
    run(monkeypatch, "--quick", "--output", table)
    assert table.read_text() == content
    assert "even" not in capsys.readouterr().out


def test_the_plan_has_a_name_for_each_training_and_at_least_a_hundred_that_are_honest(scripts):
    from designs import designs

    planned = designs()
    assert len({design.name for design in planned}) == len(planned)
    assert sum(design.control != "planted" for design in planned) >= 100


@pytest.mark.skipif("LIGHTNING_SALIENCY_DATA" not in os.environ, reason="needs LIGHTNING_SALIENCY_DATA, with CIFAR-10")
def test_the_trunk_is_the_trained_one(scripts):
    from images import read_domain
    from networks import build

    test = read_domain("cifar").test
    with torch.no_grad():
        features = build("resnet20", 10).eval()
        features[1].linear = torch.nn.Identity()
        classes = features(test.images[::10])
    means = torch.stack([classes[test.labels[::10] == label].mean(dim=0) for label in range(10)])
    nearest = torch.cdist(classes, means).argmin(dim=1)
    assert (nearest == test.labels[::10]).float().mean() > 0.75
