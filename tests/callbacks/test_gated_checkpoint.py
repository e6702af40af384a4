import dataclasses
import json
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.methods import Gradient
from lightning_saliency.metrics import RCAP
from lightning_saliency.monitor._logged_names import logged_names
from tests.callbacks.training import MEAN, STD, Classifier, Data, fit, trainer


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
    present = sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())
    # The record of decisions lies beside checkpoints, and never alone.
    assert present != ["gate_decisions.json"]
    return [name for name in present if name != "gate_decisions.json"]


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
    assert gate.decisions[0].reasons == ("score is 0.4, required >= 0.5",)
    assert files(tmp_path) == ["1.ckpt", "3.ckpt"]


def test_every_gate_has_to_pass(tmp_path):
    gate = GatedCheckpoint(tmp_path, "{epoch}", gates={"score": "<= 0.5", "val_loss": "<= 100"}, save_top_k=-1)
    fit([Scores(0.4, 0.6), gate])
    assert files(tmp_path) == ["0.ckpt"]


def test_a_value_from_an_earlier_validation_does_not_pass(tmp_path):
    gate = GatedCheckpoint(tmp_path, "{epoch}", gates={"score": ">= 0.5"}, save_top_k=-1)
    fit([Scores(0.9, None, 0.9), gate], max_epochs=3)
    assert [decision.passed for decision in gate.decisions] == [True, False, True]
    assert gate.decisions[1].reasons == ("score was not computed in this validation, required >= 0.5",)
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
        ({"score": "> 0.5"}, ValueError, r"gate of 'score' to be '>= x', .* but got '> 0.5'"),
        ({"score": ">= half"}, ValueError, "but got '>= half'"),
        ({"score": ">= 0.5 or so"}, ValueError, "but got '>= 0.5 or so'"),
    ],
)
def test_unknown_syntax_is_refused(gates, error, message):
    with pytest.raises(error, match=message):
        GatedCheckpoint(gates=gates)


def judged(rule, *values, best=None, higher_is_better=True):
    gate = GatedCheckpoint(gates={"score": rule}).gates[0]
    if hasattr(gate, "higher_is_better"):
        gate = dataclasses.replace(gate, higher_is_better=higher_is_better)
    listed = dict(zip(("score", "score_stderr"), values, strict=False))
    return gate.judge(listed.get, best).passed


@pytest.mark.parametrize(
    ("rule", "low", "high"), [(">= 0.25", False, True), ("<=0.25", True, False), (">= 2.5e-1", False, True)]
)
def test_a_gate_compares_with_its_bound(rule, low, high):
    assert [judged(rule, value) for value in (0.2, 0.25, 0.3)] == [low, True, high]


def test_a_gate_can_ask_for_standard_errors_to_spare():
    assert judged(">= 0.25 by 2 stderr", 0.36, 0.05)
    assert not judged(">= 0.25 by 2 stderr", 0.34, 0.05)
    assert judged("<= 0.25 by 1.5 stderr", 0.09, 0.1)
    assert not judged("<= 0.25 by 1.5 stderr", 0.11, 0.1)
    assert not judged(">= 0.25 by 2 stderr", 0.9)


def test_a_relative_gate_allows_a_share_of_the_best_to_be_lost():
    assert judged("worsens <= 10%", 0.1)
    assert [judged("worsens <= 10%", value, best=0.5) for value in (0.44, 0.46, 0.6)] == [False, True, True]
    lower = {"best": 0.5, "higher_is_better": False}
    assert [judged("worsens <= 10%", value, **lower) for value in (0.56, 0.54, 0.1)] == [False, True, True]
    assert not judged("worsens <= 10%", float("nan"), best=0.5)


def watched(**options):
    return SaliencyMonitor([Gradient()], [RCAP()], **{"num_images": 6, "mean": MEAN, "std": STD, **options}, cues=())


def test_a_relative_gate_knows_direction_and_best_of_a_monitors_score(tmp_path):
    gate = GatedCheckpoint(tmp_path, gates={"saliency/gradient/rcap": "worsens <= 1000%"}, save_top_k=-1)
    run, _ = fit([watched(), gate], max_epochs=3)
    assert [decision.passed for decision in gate.decisions] == [True] * 3
    best = gate.state_dict()["best_values"]["saliency/gradient/rcap"]
    assert best >= run.callback_metrics["saliency/gradient/rcap"].item() - 1e-6  # logged in single precision


def test_a_drift_gate_waits_for_the_second_evaluation(tmp_path):
    gate = GatedCheckpoint(tmp_path, gates={"saliency/gradient/drift_spearman": ">= -1"}, save_top_k=-1)
    fit([watched(), gate], max_epochs=3)
    assert [decision.passed for decision in gate.decisions] == [False, True, True]


def test_a_monitor_of_every_second_epoch_never_lets_a_stale_score_pass(tmp_path):
    name = "saliency/gradient/rcap"
    gate = GatedCheckpoint(tmp_path, "{epoch}", gates={name: ">= 0"}, save_top_k=-1, monitor=name)
    fit([watched(every_n_epochs=2), gate], max_epochs=5)
    assert files(tmp_path) == ["1.ckpt", "3.ckpt"]


@pytest.mark.parametrize("name", ["saliency/gradient/rcop", "saliency/grad_cam/rcap", "salience/gradient/rcap"])
def test_a_name_that_no_monitor_logs_is_refused_with_those_that_will_be(tmp_path, name):
    with pytest.raises(ValueError, match=rf"but got '{name}'.* saliency/gradient/rcap"):
        fit([watched(), GatedCheckpoint(tmp_path, gates={name: ">= 0.5"})])


def test_a_relative_gate_on_a_value_of_unknown_direction_is_refused(tmp_path):
    with pytest.raises(ValueError, match="whose direction is known, but got 'val_loss'"):
        fit([watched(), GatedCheckpoint(tmp_path, gates={"val_loss": "worsens <= 5%"})])


def test_what_a_monitor_logs_is_what_gates_may_name():
    options = {"log": ("*",), "best": "gradient/rcap"}
    run, _ = fit([watched(**options)])
    logged = {name for name in run.callback_metrics if name.startswith("saliency")}
    names = set(logged_names(watched(**options).settings))
    # Bands are for charts. Where all images are used, no number says how many are not.
    bands = {name for name in logged if name.endswith(("_low", "_high"))}
    margins = ("rcap_vs_random", "rcap_vs_edges")
    assert bands == {f"saliency/gradient/{margin}{end}" for margin in margins for end in ("_low", "_high")}
    assert logged - bands == names - {"saliency/used", "saliency/left_out"}


def test_drift_from_a_best_evaluation_needs_a_best_one(tmp_path):
    gates = {"saliency/gradient/drift_spearman_best": ">= -1"}
    with pytest.raises(ValueError, match="but got 'saliency/gradient/drift_spearman_best'"):
        fit([watched(), GatedCheckpoint(tmp_path, gates=gates)])
    gate = GatedCheckpoint(tmp_path, gates=gates)
    fit([watched(best="gradient/rcap_vs_random"), gate])
    assert [decision.passed for decision in gate.decisions] == [False, True]


def test_a_failing_gate_can_warn_and_save(tmp_path):
    gate = GatedCheckpoint(tmp_path, "{epoch}", gates={"score": ">= 0.5"}, on_fail="warn", save_top_k=-1)
    with pytest.warns(UserWarning, match=r"epoch 0 refused: score is 0.4, required >= 0.5. It is saved all the same"):
        fit([Scores(0.4, 0.6), gate])
    assert files(tmp_path) == ["0.ckpt", "1.ckpt"]


def test_a_failing_gate_can_stop_training(tmp_path):
    gate = GatedCheckpoint(tmp_path, gates={"score": ">= 0.5"}, on_fail="stop")
    run, _ = fit([Scores(0.6, 0.4), gate], max_epochs=5)
    assert run.current_epoch == 2
    assert len(files(tmp_path)) == 1


def test_two_gates_of_a_run_have_names_of_their_own(tmp_path):
    saved, logger = tmp_path / "kept", CSVLogger(tmp_path)
    gate = GatedCheckpoint(saved, gates={"score": ">= 0.5"}, save_top_k=-1)
    strict = GatedCheckpoint(saved, gates={"score": ">= 0.9"}, save_top_k=-1, on_fail="warn", name="strict")
    with pytest.warns(UserWarning, match=r"refused: score is 0.6, required >= 0.9"):
        fit([Scores(0.6), gate, strict], logger=logger, max_epochs=1)
    for name, passed in (("gate", True), ("strict", False)):
        record = json.loads((saved / f"{name}_decisions.json").read_text())
        assert [entry["passed"] for entry in record] == [passed]
        assert f"{name}/passed" in (Path(logger.log_dir) / "metrics.csv").read_text()


@pytest.mark.parametrize("name", ["", "a/b", None, "../x", "=x", "a\nb", "x" * 101])
def test_a_name_that_cannot_be_that_of_a_file_is_refused(name):
    with pytest.raises(ValueError, match=r"`name` must be named by at most 100 letters, digits"):
        GatedCheckpoint(gates={"score": ">= 0.5"}, name=name)


def test_gates_of_the_same_name_are_refused(tmp_path):
    gates = [GatedCheckpoint(tmp_path / bound, gates={"score": f">= {bound}"}) for bound in ("0.5", "0.6")]
    with pytest.raises(ValueError, match=r"`name` .* got 'gate'"):
        fit([Scores(0.6), *gates])


def test_decisions_are_kept_logged_and_written(tmp_path):
    logger = CSVLogger(tmp_path)
    gate = GatedCheckpoint(tmp_path / "kept", gates={"score": ">= 0.5"}, save_top_k=-1)
    fit([Scores(0.4, 0.6), gate], logger=logger)
    record = json.loads((tmp_path / "kept" / "gate_decisions.json").read_text())
    assert [(entry["epoch"], entry["passed"]) for entry in record] == [(0, False), (1, True)]
    assert "gate/passed" in (Path(logger.log_dir) / "metrics.csv").read_text()
    again = GatedCheckpoint(tmp_path / "kept", gates={"score": ">= 0.5"}, save_top_k=-1)
    again.load_state_dict(gate.state_dict())
    assert again.decisions == gate.decisions


def test_a_run_goes_on_from_its_gated_checkpoint(tmp_path):
    def parts():
        return [
            watched(best="gradient/rcap"),
            GatedCheckpoint(tmp_path, "{epoch}", gates={"saliency/gradient/rcap": ">= 0"}, save_top_k=-1),
        ]

    fit(parts(), max_epochs=2)
    monitor, gate = parts()
    run = trainer([monitor, gate], max_epochs=3)
    run.fit(Classifier(), Data(), ckpt_path=tmp_path / "1.ckpt")
    assert [decision.epoch for decision in gate.decisions] == [0, 1, 2]
    assert files(tmp_path) == ["0.ckpt", "1.ckpt", "2.ckpt"]
    assert {"first", "previous", "best"} <= monitor.memory.maps.keys()


def test_the_reason_of_a_refusal_comes_first(tmp_path):
    gate = GatedCheckpoint(tmp_path, gates={"score": "<= 0.5", "val_loss": "<= -1"})
    fit([Scores(0.4, 0.4), gate])
    refused, passed = gate.decisions[0].reasons
    assert refused.startswith("val_loss")
    assert passed == "score is 0.4, required <= 0.5"


@pytest.mark.filterwarnings("ignore:.*Experiment logs directory")
def test_reasons_that_cannot_be_written_are_no_reason_to_stop(tmp_path):
    logger = CSVLogger(tmp_path, name="", version="run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "texts").write_text("in the way")
    gate = GatedCheckpoint(tmp_path, gates={"val_loss": "<= 100"})
    with pytest.warns(UserWarning, match="GatedCheckpoint cannot log its reasons"):
        run, _ = fit([gate], logger=logger, max_epochs=1)
    assert gate.decisions[0].passed
    assert run.state.finished


class Repeating(Callback):
    """Logs the last score of a monitor again in every validation, as a module may do for a scheduler."""

    def on_validation_epoch_end(self, trainer, pl_module):
        value = trainer.callback_metrics.get("saliency/gradient/rcap")
        if value is not None and trainer.current_epoch % 2 == 0:
            options = {"sync_dist": True, "rank_zero_only": True, "reduce_fx": "max"}  # as the monitor
            pl_module.log("saliency/gradient/rcap", value.clone(), **options)


def test_a_score_that_is_logged_again_is_not_one_of_this_validation(tmp_path):
    gate = GatedCheckpoint(tmp_path, "{epoch}", gates={"saliency/gradient/rcap": ">= 0"}, save_top_k=-1)
    fit([Repeating(), watched(every_n_epochs=2), gate], max_epochs=4)
    assert [decision.passed for decision in gate.decisions] == [False, True, False, True]
    assert files(tmp_path) == ["1.ckpt", "3.ckpt"]
