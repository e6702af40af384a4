import csv
from functools import partial

import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import ConcatDataset, DataLoader, IterableDataset

from lightning_saliency import GatedCheckpoint, SaliencyMonitor
from lightning_saliency.drift import DRIFT_MEASURES
from lightning_saliency.methods import GradCAM, Gradient
from tests.callbacks.processes import spawn
from tests.callbacks.training import MEAN, STD, Classifier, Data, Patterns, assert_identical, fit, trace, trainer

NOT_REPEATABLE = ("seconds", "fraction_of_epoch")


class Reseeding(Callback):
    """Lightning keeps no random state in checkpoints, so that training only continues exactly with seeds by step."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        seed_everything(trainer.global_step, verbose=False)


class History(Callback):
    def __init__(self):
        self.rows = []

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
            self.rows.append({name: value for name, value in metrics.items() if not name.endswith(NOT_REPEATABLE)})


def plain_data(num_val=18):
    data = Data(num_val)
    half = Patterns(24)  # both halves of an epoch are the same, since loaders start anew in the middle of one
    data.train_dataloader = lambda: DataLoader(ConcatDataset([half, half]), 8)
    return data


def monitor(**options):
    return SaliencyMonitor(
        [Gradient(), GradCAM()],
        **{
            "num_images": 5,
            "mean": MEAN,
            "std": STD,
            "drift": [*DRIFT_MEASURES],
            "best": "gradient/rcap",
            "log": ("*",),
            **options,
        },
        cues=(),
    )


def run(callbacks, data=None, ckpt_path=None, **options):
    history = History()
    fitter = trainer([Reseeding(), *callbacks, history], **options)
    seed_everything(1, verbose=False)
    module = Classifier()
    fitter.fit(module, data or plain_data(), ckpt_path=ckpt_path)
    return history, fitter, module


def saving(folder):
    return ModelCheckpoint(folder, "{step}", save_top_k=-1, save_on_train_epoch_end=False)


@pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable")
@pytest.mark.parametrize(
    ("options", "step", "done"),
    [({}, 12, 2), ({"val_check_interval": 0.5}, 9, 3)],
    ids=["after an epoch", "in the middle of an epoch"],
)
def test_curves_go_on_after_resuming_as_if_nothing_had_happened(tmp_path, options, step, done):
    through, _, _ = run([monitor(), saving(tmp_path / "a")], max_epochs=4, **options)
    resumed, fitter, _ = run(
        [monitor(), saving(tmp_path / "a")], max_epochs=4, ckpt_path=tmp_path / f"a/step={step}.ckpt", **options
    )
    assert resumed.rows == through.rows[done:]
    assert "saliency/gradient/drift_spearman_best" in resumed.rows[0]
    assert 0 < fitter.callback_metrics["saliency/fraction_of_epoch"] < 1


def test_the_state_is_made_of_what_loads_without_pickled_code(tmp_path):
    run([monitor(), saving(tmp_path)])
    state = torch.load(tmp_path / "step=12.ckpt", weights_only=True)["callbacks"]["SaliencyMonitor[saliency]"]
    assert state["memory"]["maps"]["previous"]["gradient"]["maps"].dtype == torch.float16


def halves(folder, callbacks):
    fit([*callbacks(), saving(folder)])
    fitter = trainer([*callbacks(), saving(folder)], max_epochs=3)
    seed_everything(2, verbose=False)  # after the callbacks are made: type checks of tests draw random numbers
    module = Classifier()
    fitter.fit(module, Data(), ckpt_path=folder / "step=12.ckpt")
    return trace(fitter, module)


def test_training_saved_and_resumed_is_bit_identical_with_and_without_the_monitor(tmp_path):
    assert_identical(halves(tmp_path / "watched", lambda: [monitor()]), halves(tmp_path / "alone", list))


def test_a_data_set_of_another_size_is_said_and_drift_restarts(tmp_path):
    run([monitor(), saving(tmp_path)])
    with pytest.warns(UserWarning, match="validation data changed"):
        resumed, _, _ = run([monitor(), saving(tmp_path)], plain_data(17), tmp_path / "step=12.ckpt", max_epochs=4)
    first, second = resumed.rows
    assert not any("drift" in name for name in first)
    assert second["saliency/gradient/drift_spearman"] == second["saliency/gradient/drift_spearman_first"]


class Stream(IterableDataset):
    def __iter__(self):
        items = Patterns(18)
        return (items[index] for index in range(18))


def test_curves_of_a_stream_go_on_too(tmp_path):
    data = plain_data()
    data.val_dataloader = lambda: DataLoader(Stream(), 4)
    through, _, _ = run([monitor(), saving(tmp_path)], data, max_epochs=3)
    resumed, _, _ = run([monitor(), saving(tmp_path)], data, tmp_path / "step=12.ckpt", max_epochs=3)
    assert resumed.rows == through.rows[2:]


class Reversed(IterableDataset):
    def __iter__(self):
        items = Patterns(18)
        return (items[index] for index in reversed(range(18)))


def test_a_stream_of_other_images_is_said_and_drift_restarts(tmp_path):
    data = plain_data()
    data.val_dataloader = lambda: DataLoader(Stream(), 4)
    run([monitor(), saving(tmp_path)], data, max_epochs=2)
    data.val_dataloader = lambda: DataLoader(Reversed(), 4)
    with pytest.warns(UserWarning, match="validation data changed"):
        resumed, _, _ = run([monitor(), saving(tmp_path)], data, tmp_path / "step=12.ckpt", max_epochs=4)
    first, second = resumed.rows
    assert not any("drift" in name for name in first)
    assert second["saliency/gradient/drift_spearman"] == second["saliency/gradient/drift_spearman_first"]


def test_rows_written_after_the_checkpoint_are_replaced(tmp_path):
    def logger():
        return CSVLogger(tmp_path, name="", version="same")

    run([monitor(), saving(tmp_path)], max_epochs=3, logger=logger())
    table = tmp_path / "same" / "saliency.csv"
    original = table.read_text()
    with pytest.warns(UserWarning, match="Experiment logs directory"):
        run([monitor(), saving(tmp_path)], max_epochs=3, ckpt_path=tmp_path / "step=12.ckpt", logger=logger())
    assert table.read_text() == original
    with table.open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == sorted(
            row["epoch"] for row in csv.DictReader(original.splitlines())
        )


def test_a_budget_stays_what_it_was(tmp_path):
    sizes = []

    def sized(model, images, targets):
        sizes.append(len(images))
        return images.mean(dim=1)

    first = SaliencyMonitor({"mean": sized}, num_images=18, max_seconds=1e-6, mean=MEAN, std=STD, cues=())
    with pytest.warns(UserWarning, match=r"Using 1 image\(s\)"):
        run([first, saving(tmp_path)])
    second = SaliencyMonitor({"mean": sized}, num_images=18, max_seconds=1e3, mean=MEAN, std=STD, cues=())
    run([second, saving(tmp_path)], ckpt_path=tmp_path / "step=12.ckpt", max_epochs=4)
    assert sizes == [2, 18, 1, 1, 1]


@pytest.mark.parametrize(("best", "choose"), [("grad_cam/rcap", max), ("gradient/allegiance", min)])
def test_the_best_evaluation_is_that_with_the_best_value_so_far(best, choose):
    watcher = monitor(metrics=["rcap", "allegiance"], best=best, drift=["spearman"])
    fit([watcher], max_epochs=5)
    scores = [record.value(f"saliency/{best}") for record in watcher.history]
    assert watcher.memory.best_value == choose(scores)
    for place, record in enumerate(watcher.history[1:], start=1):
        drift = {since: record.value(f"saliency/gradient/drift_spearman{since}") for since in ("", "_first", "_best")}
        place_of_best = scores.index(choose(scores[:place]))
        if place_of_best in (0, place - 1):
            assert drift["_best"] == drift["_first" if place_of_best == 0 else ""]


def test_the_best_evaluation_is_never_one_without_a_value():
    class FirstWithoutMap:
        calls = 0

        def __call__(self, model, images, targets):
            self.calls += 1
            return images.mean(dim=1) * (torch.nan if self.calls == 1 else 1)

    options = {"num_images": 6, "mean": MEAN, "std": STD, "best": "late/rcap"}
    watcher = SaliencyMonitor({"late": FirstWithoutMap(), "gradient": Gradient()}, **options, cues=())
    with pytest.warns(UserWarning, match="6 of 6 maps of 'late'"):
        fit([watcher], num_sanity_val_steps=0, max_epochs=3)
    first, second, third = watcher.history
    assert first.value("saliency/late/rcap") is None
    assert "saliency/gradient/drift_spearman_best" not in second.values
    assert "saliency/gradient/drift_spearman_best" in third.values


def test_another_best_score_begins_anew(tmp_path):
    run([monitor(), saving(tmp_path)])
    watcher = monitor(best="grad_cam/rcap")
    run([watcher, saving(tmp_path)], ckpt_path=tmp_path / "step=12.ckpt", max_epochs=4)
    third, fourth = watcher.history[2:]
    assert "saliency/gradient/drift_spearman_best" not in third.values
    assert fourth.values["saliency/gradient/drift_spearman_best"] == fourth.values["saliency/gradient/drift_spearman"]
    assert "saliency/gradient/drift_spearman_first" in third.values


def test_a_gate_goes_on_from_what_it_knew(tmp_path):
    def gate():
        return GatedCheckpoint(tmp_path / "gate", gates={"saliency/gradient/rcap": "worsens <= 50%"})

    first = gate()
    run([monitor(), first, saving(tmp_path)])
    second = gate()
    run([monitor(), second, saving(tmp_path)], ckpt_path=tmp_path / "step=12.ckpt", max_epochs=3)
    assert second.decisions[:2] == first.decisions
    assert [decision.epoch for decision in second.decisions] == [0, 1, 2]


class Still(Callback):
    """Lets nothing be learnt from the third epoch on, so that only drift could differ between one process and two."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch >= 2:
            trainer.optimizers[0].param_groups[0]["lr"] = 0.0
            pl_module.network[1].momentum = 0.0


def in_two_processes(folder):
    callbacks = [monitor(), Still(), saving(folder / "both")]
    resumed, _, _ = run(callbacks, ckpt_path=folder / "step=12.ckpt", max_epochs=3, strategy="ddp", devices=2)
    return resumed.rows


def test_drift_goes_on_with_another_number_of_processes(tmp_path):
    through, _, _ = run([monitor(), saving(tmp_path), Still()], max_epochs=3)
    first, second = spawn(partial(in_two_processes, tmp_path), tmp_path)
    assert first == second
    expected = {name: value for name, value in through.rows[2].items() if name.startswith("saliency")}
    assert 0 < expected["saliency/gradient/drift_spearman_first"] < 0.999
    assert first[0].keys() - {"val_loss"} == expected.keys()
    for name, value in expected.items():
        assert first[0][name] == pytest.approx(value, rel=1e-5, abs=1e-6), name
