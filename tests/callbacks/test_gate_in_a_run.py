"""A gate that cannot do what it was made for says so, and its state is right in whatever is saved."""

import copy

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.methods import Gradient
from lightning_saliency.metrics import RCAP
from tests.callbacks.test_gated_checkpoint import Scores, files
from tests.callbacks.training import MEAN, STD, Classifier, Data, Patterns, fit, trainer

SCORE = "saliency/gradient/rcap"


def monitor(**options):
    return SaliencyMonitor([Gradient()], [RCAP()], **{"num_images": 6, "mean": MEAN, "std": STD, **options})


def test_a_name_that_lacks_the_monitors_is_refused_with_the_right_one(tmp_path):
    with pytest.raises(ValueError, match=r"but got 'gradient/rcap'.  Write 'saliency/gradient/rcap'"):
        fit([monitor(), GatedCheckpoint(tmp_path, gates={"gradient/rcap": ">= 0.1"})])


@pytest.mark.parametrize(
    ("name", "near"),
    [("rcap", "saliency/gradient/rcap"), ("gradient/rcop", "saliency/gradient/rcap"), ("val_los", "val_loss")],
)
def test_a_value_that_nothing_logs_ends_the_run_after_the_first_validation(tmp_path, name, near):
    gate = GatedCheckpoint(tmp_path, gates={name: ">= 0.1"})
    with pytest.raises(ValueError, match=rf"but got '{name}', which this one did not.* {near}"):
        fit([monitor(), gate], max_epochs=3)
    assert gate.decisions == []
    assert files(tmp_path) == []


def shifted(batch):
    images, labels = batch
    return images - 3, labels


@pytest.mark.filterwarnings("ignore:.*are left out, because images do not lie in")
@pytest.mark.parametrize("quantity", ["rcap", "rcap_vs_random", "rcap_stderr"])
def test_a_default_metric_that_was_left_out_ends_the_run(tmp_path, quantity):
    watcher = SaliencyMonitor([Gradient()], num_images=6, batch=shifted)
    gate = GatedCheckpoint(tmp_path, gates={f"saliency/gradient/{quantity}": ">= 0.1"})
    with pytest.raises(ValueError, match=f"but got 'saliency/gradient/{quantity}', which this one did not"):
        fit([watcher, gate])


def test_values_that_come_later_are_waited_for(tmp_path):
    gates = {SCORE: ">= -2", "saliency/gradient/drift_spearman": ">= -1"}
    gate = GatedCheckpoint(tmp_path, gates=gates)
    fit([monitor(every_n_epochs=2), gate], max_epochs=4)
    assert [decision.passed for decision in gate.decisions] == [False, False, False, True]


class Blind(Callback):
    """Makes every score of the first evaluation NaN."""

    def on_validation_start(self, trainer, pl_module):
        self.weights = copy.deepcopy(pl_module.state_dict())
        if trainer.current_epoch == 0 and not trainer.sanity_checking:
            pl_module.network[-1].weight.data.fill_(torch.nan)

    def on_validation_end(self, trainer, pl_module):
        pl_module.load_state_dict(self.weights)


@pytest.mark.filterwarnings("ignore:.*maps of .* are not finite")
def test_a_score_that_is_not_finite_at_first_is_no_reason_to_stop(tmp_path):
    gate = GatedCheckpoint(tmp_path, gates={SCORE: ">= -2"})
    fit([Blind(), monitor(), gate])
    assert [decision.passed for decision in gate.decisions] == [False, True]


def test_a_fit_without_a_validation_says_that_nothing_will_be_saved(tmp_path):
    gate = GatedCheckpoint(tmp_path, gates={"score": ">= 0.1"})
    loader = DataLoader(Patterns(24), 8)
    with (
        pytest.warns(UserWarning, match="Skipping val loop"),
        pytest.warns(UserWarning, match="There is no validation, so no gate is judged and nothing is saved"),
    ):
        trainer([gate], max_epochs=1).fit(Classifier(), loader)


@pytest.mark.filterwarnings("ignore:.*It will use the best checkpoint path from first checkpoint callback")
@pytest.mark.parametrize("refuses", [False, True])
def test_the_best_checkpoint_is_that_of_the_users_first_callback_as_without_gates(tmp_path, refuses):
    plain = ModelCheckpoint(tmp_path / "plain", monitor="val_loss")
    gates = [
        GatedCheckpoint(tmp_path / name, gates={"score": ">= 0.5" if refuses else ">= 0.1"}, name=name)
        for name in ("a", "b")
    ]
    run, module = fit([plain, Scores(0.2, 0.2, 0.2), *gates])
    assert run.checkpoint_callbacks == [plain, *gates]
    assert run.checkpoint_callback.best_model_path == plain.best_model_path != ""
    run.validate(module, Data(), ckpt_path="best", verbose=False)
    assert run.ckpt_path == plain.best_model_path


class Broken(Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        raise OSError("the disk is away")


def test_a_run_that_ends_in_an_error_has_its_callbacks_in_the_users_order(tmp_path):
    plain, gate = ModelCheckpoint(tmp_path / "plain"), GatedCheckpoint(tmp_path, gates={"score": ">= 0.1"})
    run = trainer([Scores(0.2, 0.2), plain, gate, Broken()], max_epochs=2)
    with pytest.raises(OSError, match="the disk is away"):
        run.fit(Classifier(), Data())
    assert run.checkpoint_callbacks == [plain, gate]


def test_a_file_has_the_name_that_a_plain_checkpoint_gives_it(tmp_path):
    plain, gate = ModelCheckpoint(tmp_path / "plain"), GatedCheckpoint(tmp_path / "gated", gates={"score": ">= 0.1"})
    fit([Scores(0.2, 0.2), plain, gate])
    names = [[file for file in files(tmp_path / folder) if file.endswith(".ckpt")] for folder in ("plain", "gated")]
    assert names[0] == names[1] != []


def test_a_run_without_a_checkpoint_ends_with_the_number_of_refusals_and_the_reason(tmp_path, caplog):
    gate = GatedCheckpoint(tmp_path, gates={"score": ">= 0.5"}, monitor="val_loss")
    sentence = (
        "GatedCheckpoint 'gate' refused all 3 validation(s), so that it saved nothing. "
        "In the last one, score is 0.3, required >= 0.5."
    )
    with caplog.at_level("INFO"):
        run, module = fit([Scores(0.1, 0.2, 0.3), gate], max_epochs=3)
    assert sentence in caplog.text
    with pytest.raises(ValueError, match="is not configured to save the best model") as refusal:
        run.validate(module, Data(), ckpt_path="best", verbose=False)
    assert refusal.value.__notes__ == [sentence]


def test_a_run_with_a_checkpoint_ends_without_that_sentence(tmp_path, caplog):
    with caplog.at_level("INFO"):
        fit([Scores(0.9, 0.1), GatedCheckpoint(tmp_path, gates={"score": ">= 0.5"})])
    assert "saved nothing" not in caplog.text


@pytest.mark.parametrize(
    ("validation", "steps"),
    [
        ({"val_check_interval": 4}, [4, 10]),
        ({"val_check_interval": 4, "check_val_every_n_epoch": None}, [4, 8, 12]),
        ({"val_check_interval": 0.5}, [6, 12]),
        ({"check_val_every_n_epoch": 2}, [12]),
        ({}, [6, 12]),
    ],
)
def test_what_passed_is_saved_though_the_epoch_goes_on(tmp_path, validation, steps):
    gate = GatedCheckpoint(
        tmp_path, "{step}", gates={"val_loss": "<= 100"}, save_top_k=-1, save_on_train_epoch_end=True
    )
    fit([gate], **validation)
    assert all(decision.passed for decision in gate.decisions)
    assert files(tmp_path) == sorted(f"{step}.ckpt" for step in steps)


def gates_and_recovery(folder, first):
    gate = GatedCheckpoint(
        folder / "gate", "{step}", gates={SCORE: "worsens <= 0%"}, save_top_k=-1, save_on_train_epoch_end=False
    )
    strict = GatedCheckpoint(folder / "strict", "{step}", gates={SCORE: "worsens <= 1%"}, save_top_k=-1, name="strict")
    plain = ModelCheckpoint(folder / "plain", "{step}", save_top_k=-1, save_on_train_epoch_end=False)
    order = {"plain": [plain, gate, strict], "gate": [gate, strict, plain], "between": [gate, plain, strict]}
    return [monitor(), *order[first]]


@pytest.mark.parametrize("first", ["plain", "gate", "between"])
def test_whatever_is_saved_has_the_decisions_of_its_validation(tmp_path, first):
    callbacks = gates_and_recovery(tmp_path, first)
    fit(callbacks, max_epochs=3, val_check_interval=0.5)
    gates = [callback for callback in callbacks if isinstance(callback, GatedCheckpoint)]
    saved = sorted(tmp_path.rglob("*.ckpt"))
    assert len([path for path in saved if path.parent.name == "plain"]) == 6
    for path in saved:
        content = torch.load(path, weights_only=True)
        for gate in gates:
            decisions = content["callbacks"][gate.state_key]["decisions"]
            assert decisions[-1]["step"] == content["global_step"], path


@pytest.mark.filterwarnings("ignore:.*resuming from a checkpoint that ended before the epoch")
@pytest.mark.parametrize("first", ["plain", "gate"])
def test_a_run_that_is_resumed_from_a_plain_checkpoint_decides_as_if_it_had_not_been(tmp_path, first):
    callbacks = gates_and_recovery(tmp_path / "one", first)
    fit(callbacks, max_epochs=4, val_check_interval=0.5)
    again = gates_and_recovery(tmp_path / "one", first)
    resumed = trainer(again, max_epochs=4, val_check_interval=0.5)
    resumed.fit(Classifier(), Data(), ckpt_path=tmp_path / "one" / "plain" / "step=9.ckpt")
    for gate, other in zip(callbacks, again, strict=True):
        if isinstance(gate, GatedCheckpoint):
            assert other.decisions[:3] == gate.decisions[:3]
            assert len(other.decisions) == len(gate.decisions)


DAMAGES = {
    "a missing entry": lambda state: state.pop("decisions"),
    "an entry of another kind": lambda state: state.update(best_values=3),
    "a decision without a step": lambda state: state["decisions"][0].pop("step"),
    "a step that is no number": lambda state: state["decisions"][0].update(step="x"),
    "a missing entry of ModelCheckpoint": lambda state: state.pop("best_model_path"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_of_a_gate_is_explained(tmp_path, damage):
    def gate():
        return GatedCheckpoint(tmp_path, "{epoch}", gates={"val_loss": "<= 100"})

    fit([first := gate()], max_epochs=1)
    content = torch.load(tmp_path / "0.ckpt", weights_only=True)
    DAMAGES[damage](content["callbacks"][first.state_key])
    torch.save(content, tmp_path / "damaged.ckpt")
    with pytest.raises(ValueError, match=r"must hold the state that GatedCheckpoint 'gate' wrote, .* damaged.* Resume"):
        trainer([gate()], max_epochs=2).fit(Classifier(), Data(), ckpt_path=tmp_path / "damaged.ckpt")


@pytest.mark.parametrize("entry", ["memory", "run", "history", "interrupted"])
@pytest.mark.parametrize("value", ["missing", 3])
def test_a_damaged_state_of_a_monitor_is_explained(tmp_path, entry, value):
    if (entry, value) == ("run", 3):
        pytest.skip("an id may be anything")
    saving = ModelCheckpoint(tmp_path, "{epoch}")
    fit([first := monitor(), saving], max_epochs=1)
    content = torch.load(tmp_path / "epoch=0.ckpt", weights_only=True)
    state = content["callbacks"][first.state_key]
    if value == "missing":
        del state[entry]
    else:
        state[entry] = value
    torch.save(content, tmp_path / "damaged.ckpt")
    with pytest.raises(ValueError, match=r"must hold the state that SaliencyMonitor 'saliency' wrote, .* damaged"):
        trainer([monitor(), saving], max_epochs=2).fit(Classifier(), Data(), ckpt_path=tmp_path / "damaged.ckpt")
