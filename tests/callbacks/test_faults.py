"""Faults injected one by one: a warning and a whole training, or a clear stop."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader, IterableDataset

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import GradCAM, GuidedAbsoluteGrad
from tests.callbacks.training import MEAN, STD, Classifier, Data, Patterns, assert_identical, fit, trace, trainer


def monitor(**options):
    methods = [GuidedAbsoluteGrad(num_samples=2), GradCAM()]
    return SaliencyMonitor(methods, **{"num_images": 6, "mean": MEAN, "std": STD, **options}, cues=())


def ours(warnings):
    return [str(warning.message) for warning in warnings if "SaliencyMonitor" in str(warning.message)]


def scores_of(run):
    return {name: value.item() for name, value in run.callback_metrics.items() if name.startswith("saliency")}


class Poison(Callback):
    """Spoils the weights in front of the second evaluation, and restores them after it."""

    def __init__(self, factor):
        self.factor = factor

    def on_validation_start(self, trainer, pl_module):
        if not trainer.sanity_checking and trainer.current_epoch == 1:
            self.saved = {name: value.clone() for name, value in pl_module.state_dict().items()}
            with torch.no_grad():
                pl_module.network[-1].weight.mul_(self.factor)

    def on_validation_end(self, trainer, pl_module):
        values = {name: value for name, value in trainer.callback_metrics.items() if name.startswith("saliency")}
        assert all(value.isfinite() for value in values.values())
        if not trainer.sanity_checking and trainer.current_epoch == 1:
            pl_module.load_state_dict(self.saved)


@pytest.mark.parametrize("factor", [torch.nan, torch.inf, 1e38], ids=["NaN", "infinite", "huge"])
def test_spoilt_weights_are_told_of_and_nothing_is_logged_that_is_not_finite(factor):
    alone = trace(*fit([Poison(factor)], max_epochs=3))
    with pytest.warns(UserWarning, match="6 of 6 maps of") as warnings:
        run, module = fit([monitor(), Poison(factor)], max_epochs=3)
    assert len(ours(warnings)) == 1
    assert scores_of(run)["saliency/grad_cam/invalid"] == 0
    assert_identical(trace(run, module), alone)


@pytest.mark.parametrize("factor", [torch.nan, torch.inf])
def test_a_network_without_a_finite_map_stops_a_monitor_that_is_told_to_raise(factor):
    with pytest.raises(RuntimeError, match="6 of 6 maps of 'guided_absolute_grad', 6 of 6 maps of 'grad_cam' are not"):
        fit([monitor(on_error="raise"), Poison(factor)], max_epochs=3)


class Nothing(IterableDataset):
    def __iter__(self):
        return iter(())


class Angry(TensorBoardLogger):
    @property
    def experiment(self):
        class Writer:
            def __getattr__(self, name):
                return lambda *args, **kwargs: None

            def add_image(self, *args):
                raise ConnectionError("the logger is away")

            _get_file_writer = add_image

        return Writer()


class FullDisk(Callback):
    """Lets what the monitor writes meet a full disk, in every evaluation."""

    def __init__(self, folder):
        self.draft = Path(folder) / "full" / ".saliency.csv.draft"

    def on_validation_epoch_start(self, trainer, pl_module):
        self.draft.parent.mkdir(exist_ok=True)
        self.draft.unlink(missing_ok=True)
        self.draft.symlink_to("/dev/full")


def with_validation(loader):
    data = Data()
    data.val_dataloader = loader
    return data


FAULTS = {
    "a full disk": ({"logger": lambda folder: CSVLogger(folder, name="", version="full")}, "No space left on device"),
    "a logger that raises": ({"logger": Angry}, "ConnectionError: the logger is away"),
    "no validation images": (
        {"data": lambda: with_validation(lambda: DataLoader(Patterns(18), 4, sampler=[]))},
        "NoImages",
    ),
    "a stream of nothing": ({"data": lambda: with_validation(lambda: DataLoader(Nothing(), 4))}, "NoImages"),
    "no validation batches": ({"limit_val_batches": 0}, "NoImages"),
}


def run_with(fault, folder, callbacks):
    options = dict(FAULTS[fault][0])
    data = options.pop("data", Data)()
    logger = options.pop("logger", lambda folder: False)(folder)
    extra = [FullDisk(folder)] if fault == "a full disk" else []
    return fit([*callbacks, *extra], data=data, logger=logger, log_every_n_steps=100, **options)


@pytest.mark.filterwarnings("ignore:.*Total length", "ignore:.*empty", "ignore:.*Experiment logs directory")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_survived_with_one_warning(tmp_path, fault):
    alone = trace(*run_with(fault, tmp_path / "alone", []))
    with pytest.warns(UserWarning, match=FAULTS[fault][1]) as warnings:
        run, module = run_with(fault, tmp_path, [monitor(num_images=18)])
    assert len(ours(warnings)) == 1
    assert_identical(trace(run, module), alone)


@pytest.mark.filterwarnings("ignore:.*Total length", "ignore:.*empty", "ignore:.*Experiment logs directory")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_stops_a_monitor_that_is_told_to_raise(tmp_path, fault):
    with pytest.raises((RuntimeError, OSError), match=FAULTS[fault][1]):
        run_with(fault, tmp_path, [monitor(num_images=18, on_error="raise")])


@pytest.mark.filterwarnings("ignore:.*Skipping val loop")
def test_a_training_without_a_validation_is_told_what_is_missing():
    with pytest.warns(UserWarning, match=r"Nothing is explained in this training.*Give the training a validation"):
        trainer([monitor()], max_epochs=1).fit(Classifier(), Data().train_dataloader())


def test_scores_are_logged_though_the_disk_is_full_and_no_half_table_is_left(tmp_path):
    with pytest.warns(UserWarning, match="No space left"):
        run, _ = run_with("a full disk", tmp_path, [monitor()])
    assert "saliency/grad_cam/rcap" in scores_of(run)
    assert not list(tmp_path.rglob("saliency.csv"))


class LaterFull(FullDisk):
    """Fills the disk after the first evaluation, and keeps what the table held then."""

    def __init__(self, folder):
        super().__init__(folder)
        self.table = self.draft.with_name("saliency.csv")
        self.first = None

    def on_validation_epoch_start(self, trainer, pl_module):
        if not trainer.sanity_checking and trainer.current_epoch == 1:
            self.first = self.table.read_text()
            super().on_validation_epoch_start(trainer, pl_module)


def test_a_table_is_left_as_it_was_where_there_is_no_room_for_more(tmp_path):
    disk = LaterFull(tmp_path)
    with pytest.warns(UserWarning, match="No space left"):
        fit([monitor(), disk], logger=CSVLogger(tmp_path, name="", version="full"), max_epochs=2)
    assert disk.first
    assert disk.table.read_text() == disk.first


def test_a_quick_trial_writes_nothing(tmp_path):
    run, _ = fit([monitor()], fast_dev_run=True, default_root_dir=tmp_path, logger=True)
    assert "saliency/grad_cam/rcap" in scores_of(run)
    assert not list(tmp_path.rglob("*.csv"))
