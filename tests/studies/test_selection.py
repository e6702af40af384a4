"""Rules choose by values of networks, and the study of them writes a row for each epoch and is continued."""

import csv
import math
import runpy
import sys
from pathlib import Path

import pytest
import torch

STUDIES = Path(__file__).parents[2] / "examples" / "studies"
FOLDERS = (STUDIES, STUDIES.parent / "shortcuts", STUDIES.parent)
COLUMNS = (
    *("epoch", "val_accuracy", "val_loss", "worst_class", "rcap", "rcap_edges", "insertion", "insertion_edges"),
    *("insertion_intact", "srg", "alarm", "excess", "cue_effect", "cue_limit"),
    *("worst_cue_accuracy", "mean_cue_accuracy"),
)
"""Values that the rules read which know no sign."""


@pytest.fixture(autouse=True)
def scripts(monkeypatch, tmp_path):
    for folder in reversed(FOLDERS):
        monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("LIGHTNING_SALIENCY_STORE", str(tmp_path / "store"))
    before = {*sys.modules}
    yield
    for name in {*sys.modules} - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent in FOLDERS:
            del sys.modules[name]


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["selection.py", *map(str, arguments)])
    runpy.run_path(str(STUDIES / "selection.py"), run_name="__main__")


def networks(**columns):
    """Turn columns into one dictionary a network."""
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def test_the_first_of_equal_epochs_is_kept():
    from selection_rules import RULES, within

    epochs = networks(epoch=[0, 1, 2, 3], val_accuracy=[0.5, 0.9, 0.9, 0.8], shifted=[0.1, 0.6, 0.2, 0.3])
    assert within(RULES["validation accuracy"], epochs) == 0.6
    assert within(RULES["last epoch"], epochs) == 0.3
    assert within(RULES["oracle"], epochs) == 0.6


def test_between_runs_last_epochs_count_and_equal_ones_by_their_mean():
    from selection_rules import RULES, between, regret

    values = {"val_accuracy": [0.9, 0.9, 0.8], "shifted": [0.2, 0.4, 0.7]}
    runs = [
        networks(epoch=[0, 1], val_accuracy=[1, best], shifted=[1, out])
        for best, out in zip(*values.values(), strict=True)
    ]
    assert between(RULES["validation accuracy"], runs) == pytest.approx(0.3)
    assert between(RULES["last epoch"], runs) == pytest.approx(1.3 / 3)
    assert between(RULES["oracle"], runs) == 0.7
    assert regret(0.3, networks(**values)) == pytest.approx(0.4)


def test_a_gate_chooses_among_those_that_pass_and_else_the_nearest_to_passing():
    from selection_rules import GATE, RULES, is_quiet, passed_by, within

    epochs = networks(
        alarm=[0, 0, 1, 2], excess=[-math.inf, -0.1, 0.1, 0.3], val_accuracy=[0.3, 0.7, 0.9, 0.99], shifted=range(4)
    )
    assert within(RULES[GATE], epochs) == 1
    assert passed_by(is_quiet, epochs)
    assert within(RULES[GATE], epochs[2:]) == 2, "by the least excess, not by accuracy"
    assert not passed_by(is_quiet, epochs[2:])


def test_a_gate_on_cues_has_a_margin_of_two_standard_errors():
    from selection_rules import RULES

    epochs = networks(cue_limit=[0.04, 0.09, 0.3], val_accuracy=[0.3, 0.7, 0.9])
    chosen = [RULES[f"cue gate {bound}, accuracy"](epochs) for bound in (0.05, 0.1, 0.2)]
    assert chosen == [[0], [1], [1]]
    assert RULES["cue gate 0.05, accuracy"](epochs[1:]) == [0]


def test_values_are_compared_with_the_controls_of_their_network():
    from selection_rules import RULES

    epochs = networks(
        rcap=[0.2, 0.4],
        rcap_edges=[0.1, 0.35],
        insertion=[0.4, 0.6],
        insertion_edges=[0.3, 0.55],
    )
    assert RULES["RCAP"](epochs) == RULES["insertion"](epochs) == [1]
    for name in ("RCAP, margin over edges", "insertion, margin over edges"):
        assert RULES[name](epochs) == [0]


def test_a_rule_without_values_chooses_by_accuracy():
    from selection_rules import RULES

    rule = RULES["relevance mass off the sign"]
    assert rule(networks(mass=[math.nan, math.nan], val_accuracy=[0.5, 0.6])) == [1]
    assert rule(networks(mass=[0.9, math.nan], val_accuracy=[0.5, 0.6])) == [0]


def test_what_was_asked_of_the_gate_is_asked_within_and_between_runs_and_without_signs():
    from selection_page import is_proven
    from selection_rules import GATE
    from selection_tables import Part

    def part(*shifted, alarm=(0, 1, 1)):
        # The best validation accuracy and worst class are those of the last epoch.
        epochs = networks(epoch=[0, 1, 2], alarm=alarm, excess=alarm, val_accuracy=[0.7, 0.8, 0.9], shifted=shifted)
        for epoch in epochs:
            epoch["worst_class"] = epoch["val_accuracy"]
        runs = [[epoch] for epoch in epochs]
        return Part([epochs], [runs])

    assert is_proven(GATE, part(0.9, 0.5, 0.2), part(0.895, 0.9, 0.9))
    assert not is_proven(GATE, part(0.9, 0.5, 0.2), part(0.88, 0.9, 0.9)), "two points are lost"
    assert not is_proven(GATE, part(0.2, 0.5, 0.2), part(0.9, 0.9, 0.9)), "no regret is saved"
    assert not is_proven(GATE, part(0.28, 0.5, 0.2), part(0.9, 0.9, 0.9)), "0.22 of 0.3 is left"


def test_sentences_name_the_rules_that_are_clearly_better_or_worse():
    from selection_page import findings, on_digits
    from selection_tables import Part

    columns = dict.fromkeys(COLUMNS, (0.5, 0.5))
    columns |= {"epoch": (0, 1), "val_accuracy": (0.5, 0.9), "rcap": (0.9, 0.1), "alarm": (0, 1), "excess": (-1, 1)}
    misled, right = (networks(**columns, shifted=shifted) for shifted in ((0.6, 0.2), (0.2, 0.6)))
    better = Part([misled] * 5, [[misled[:1], misled[1:]]] * 5)
    mixed = Part([misled, right] * 5, [[right[:1], right[1:]]] * 5)
    assert "5 runs" in findings(better, 0)
    assert "*RCAP* (-40.0)" in findings(better, 0).split("Clearly worse")[0]
    assert "*RCAP* (+40.0)" in findings(mixed, 1).split("Clearly worse")[1]
    assert "*RCAP* (" not in findings(mixed, 0)
    assert "within a run is 0.0 points, that of validation accuracy 40.0" in on_digits(better)


def test_rules_that_lose_a_point_at_most_without_signs_are_named():
    from selection_page import costs, costs_of
    from selection_tables import Part

    columns = dict.fromkeys(COLUMNS, (0.5, 0.5)) | {"epoch": (0, 1), "val_accuracy": (0.9, 0.5)}
    epochs = networks(**columns | {"rcap": (0.1, 0.9)}, shifted=(0.9, 0.86))
    clean = Part([epochs], [[epochs[:1], epochs[1:]]])
    assert costs_of("RCAP", clean) == pytest.approx([0.04, 0.04])
    cheap = costs(clean).split("The others are")[1]
    assert "*validation accuracy*" in cheap
    assert "*RCAP*" not in cheap


def test_the_interval_is_that_of_resampled_means():
    import numpy as np
    from selection_tables import with_interval

    assert with_interval(np.full(9, 0.25)) == "+25.0 [+25.0, +25.0]"
    values = np.random.default_rng(1).normal(0.0, 0.1, 400)
    low, high = (float(each) for each in with_interval(values).split("[")[1].rstrip("]").split(","))
    # Two standard errors of the mean are a point, on either side.
    assert high - low == pytest.approx(3.92 * 100 * values.std() / 20, abs=0.3)


def test_trainings_have_one_name_each_and_every_kind_trains_in_other_ways():
    from designs import WAYS, designs
    from selection_plan import data_of, is_reported, plan
    from signs import SIGNS

    planned = plan()
    assert len({design.name for design in planned}) == len(planned) > 200
    added = [design for design in planned if design not in designs()]
    for kind in SIGNS:
        reported = [design for design in planned if design.kind == kind and is_reported(design)]
        assert len({data_of(design) for design in reported if design.domain == "cifar"}) == 1
        assert {design.control for design in reported} == {"planted", *WAYS}
    assert all(design.seed >= 2000 for design in added)


def test_other_ways_to_train_reach_other_weights_from_the_same_first_ones(tmp_path):
    from designs import WAYS, Design
    from store import train_or_read

    states = {
        way: train_or_read(Design("even", "frame", control=way, epochs=1), tmp_path).states[0]
        for way in ("planted", *WAYS)
    }
    first = next(iter(states["planted"]))
    for way in WAYS:
        assert not torch.equal(states[way][first], states["planted"][first])
    norms = {way: sum(values.square().sum() for values in state.values()) for way, state in states.items()}
    assert norms["decay"] < norms["planted"]


def test_a_row_an_epoch_and_a_continued_table(monkeypatch, tmp_path, capsys):
    table = tmp_path / "selection.csv"
    run(monkeypatch, "--quick", "--only", "planted", "--output", table)
    first = table.read_text()
    run(monkeypatch, "--quick", "--output", table)
    assert table.read_text().startswith(first)
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"] * 2
    for row in rows:
        assert float(row["worst_class"]) <= float(row["val_accuracy"]) <= 1
        assert float(row["worst_cue_accuracy"]) <= float(row["mean_cue_accuracy"])
        assert float(row["cue_effect"]) <= float(row["cue_limit"])
        assert float(row["insertion"]) <= float(row["insertion_intact"]) <= 1
    planted, clean = rows[2], rows[5]
    assert float(planted["aligned"]) > float(planted["shifted"]) + 0.2
    assert 0 < float(planted["mass"]) < 1
    assert clean["aligned"] == clean["shifted"]
    assert clean["mass"] == "nan"
    assert capsys.readouterr().out.count("planted") == 1


def test_the_rule_with_shifted_labels_is_not_tested_on_their_images():
    from designs import Design
    from images import read_domain
    from selection import FEW, test_images

    test, parts = read_domain("even").test, test_images(Design("even", "frame"))
    assert len(parts.few.labels) == 5 * FEW
    assert parts.few.labels.bincount().tolist() == [FEW] * 5
    assert len(parts.few.labels) + len(parts.shifted.labels) == len(test.labels)
    assert torch.equal(parts.aligned.labels, parts.shifted.labels)


def test_the_number_of_trainings_is_told_before(monkeypatch, capsys):
    run(monkeypatch, "--plan", "--only", "cifar-decay")
    assert "21 trainings with 168 epochs" in capsys.readouterr().out
