from datetime import timedelta
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

from lightning_saliency import GatedCheckpoint
from tests.callbacks.training import fit


class Scores(Callback):
    """Logs given scores, one per validation; `None` logs nothing."""

    def __init__(self, *scores):
        self.scores = list(scores)

    def on_validation_epoch_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            score = self.scores.pop(0)
            if score is not None:
                pl_module.log("score", score)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


CHECKPOINTS = {
    "no monitor": {},
    "best": {"monitor": "val_loss"},
    "all": {"save_top_k": -1},
    "last": {"save_last": True},
    "last as a link": {"save_last": "link", "monitor": "val_loss"},
    "only last": {"save_top_k": 0, "save_last": True},
    "every second epoch": {"every_n_epochs": 2},
    "at the end of training epochs": {"save_on_train_epoch_end": True},
    "weights only": {"save_weights_only": True},
}


@pytest.mark.parametrize("validation", [{}, {"val_check_interval": 0.5}])
@pytest.mark.parametrize("options", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_nothing_is_written_when_the_gate_never_passes(tmp_path, options, validation):
    gate = GatedCheckpoint(tmp_path, gates={"score": ">= 0.5"}, **options)
    run, _ = fit([Scores(*[0.4] * 8), gate], **validation)
    assert run.current_epoch == 2
    assert not any(decision.passed for decision in gate.decisions)
    assert files(tmp_path) == []


def test_an_exception_writes_nothing(tmp_path):
    class Interrupt(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            raise RuntimeError("power cut")

    gate = GatedCheckpoint(tmp_path, gates={"score": ">= 0.5"}, save_last=True)
    with pytest.raises(RuntimeError, match="power cut"):
        fit([Scores(0.4, 0.4), gate, Interrupt()])
    assert files(tmp_path) == []


def test_only_validations_that_pass_are_saved(tmp_path):
    gate = GatedCheckpoint(tmp_path, "{epoch}", gates={"score": ">= 0.5"}, save_top_k=-1)
    fit([Scores(0.4, 0.6, 0.3, 0.5), gate], max_epochs=4)
    assert [decision.passed for decision in gate.decisions] == [False, True, False, True]
    assert gate.decisions[0].reasons == ("score is 0.4, wanted >= 0.5",)
    assert files(tmp_path) == ["1.ckpt", "3.ckpt"]


def test_every_gate_has_to_pass(tmp_path):
    gate = GatedCheckpoint(tmp_path, "{epoch}", gates={"score": "<= 0.5", "val_loss": "<= 100"}, save_top_k=-1)
    fit([Scores(0.4, 0.6), gate])
    assert files(tmp_path) == ["0.ckpt"]


def test_a_value_from_an_earlier_validation_does_not_pass(tmp_path):
    gate = GatedCheckpoint(tmp_path, "{epoch}", gates={"score": ">= 0.5"}, save_top_k=-1)
    fit([Scores(0.9, None, 0.9), gate], max_epochs=3)
    assert [decision.passed for decision in gate.decisions] == [True, False, True]
    assert gate.decisions[1].reasons == ("score is not computed in this validation, wanted >= 0.5",)
    assert files(tmp_path) == ["0.ckpt", "2.ckpt"]


def test_a_value_equal_to_the_last_one_is_fresh_all_the_same(tmp_path):
    gate = GatedCheckpoint(tmp_path, gates={"score": ">= 0.5"})
    fit([Scores(0.9, 0.9), gate])
    assert [decision.passed for decision in gate.decisions] == [True, True]


def test_nan_does_not_pass(tmp_path):
    gate = GatedCheckpoint(tmp_path, gates={"score": "<= 0.5"})
    fit([Scores(float("nan"), float("nan")), gate])
    assert files(tmp_path) == []


def test_last_is_the_last_that_passed(tmp_path):
    gate = GatedCheckpoint(tmp_path, "{epoch}", gates={"score": ">= 0.5"}, save_last=True)
    fit([Scores(0.9, 0.1), gate])
    assert files(tmp_path) == ["0.ckpt", "last.ckpt"]
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 0


def test_names_with_slashes_make_no_folders(tmp_path):
    gate = GatedCheckpoint(tmp_path, "epoch={epoch}-score={score:.1f}", gates={"score": ">= 0.5"})
    fit([Scores(0.9, 0.9), gate])
    assert files(tmp_path) == ["epoch=1-score=0.9.ckpt"]


@pytest.mark.parametrize(
    "trigger",
    [
        {"every_n_train_steps": 2},
        {"train_time_interval": timedelta(seconds=1)},
        {"train_time_interval": timedelta(0)},
        {"save_on_exception": True},
    ],
)
def test_triggers_that_precede_the_validation_are_refused(trigger):
    with pytest.raises(ValueError, match=f"Expected no `{next(iter(trigger))}`, which saves before the validation"):
        GatedCheckpoint(gates={"score": ">= 0.5"}, **trigger)


@pytest.mark.parametrize(
    ("gates", "error", "message"),
    [
        ({}, ValueError, "at least one rule, but got none"),
        ("score >= 0.5", TypeError, "`gates` to map names to rules"),
        ({"score": 0.5}, TypeError, "gate of 'score' to be a text such as '>= 0.25', but got 0.5"),
        ({"score": "> 0.5"}, ValueError, "gate of 'score' to be '>= x' or '<= x' .* but got '> 0.5'"),
        ({"score": ">= half"}, ValueError, "but got '>= half'"),
        ({"score": ">= 0.5 or so"}, ValueError, "but got '>= 0.5 or so'"),
    ],
)
def test_unknown_syntax_is_refused(gates, error, message):
    with pytest.raises(error, match=message):
        GatedCheckpoint(gates=gates)


@pytest.mark.parametrize(
    ("rule", "low", "high"), [(">= 0.25", False, True), ("<=0.25", True, False), (">= 2.5e-1", False, True)]
)
def test_a_gate_compares_with_its_bound(rule, low, high):
    gate = GatedCheckpoint(gates={"score": rule}).gates[0]
    assert (gate.passes(0.2), gate.passes(0.25), gate.passes(0.3)) == (low, True, high)
