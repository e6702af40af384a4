"""A monitor finds out what predictions follow: an oracle is a network that reads a corner and nothing else."""

import csv
import json
import math
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lightning_saliency import Evaluation, GatedCheckpoint, SaliencyMonitor, cues, evaluate
from lightning_saliency.checkpoints import evaluate_checkpoints
from lightning_saliency.extend import Cue
from lightning_saliency.report._reading import read_run
from lightning_saliency.targets import MultiLabel, Regression
from tests.callbacks.processes import spawn
from tests.callbacks.reading import CORNER, Marked, cheat, honest, pictures
from tests.callbacks.test_dashboard import read, text_of
from tests.callbacks.training import CLASSES, Classifier, Data, assert_identical, fit, trace, trainer

OPTIONS = {"methods": ["gradient"], "metrics": ["rcap"], "num_images": 30, "num_panels": 1, "mean": 0, "std": 1}
# These hold the corner, and the others do not.
HOLD_THE_CORNER = ("wide_frame", "window")
WARNING = r"Since epoch 0 predictions follow the wide frame: 100% ± 3% more of the images of other classes become"


def watch(**options):
    return SaliencyMonitor(**{**OPTIONS, **options})


class Values(Callback):
    """Keeps what is logged after each validation."""

    def __init__(self):
        self.rows = []

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            self.rows.append({name: value.item() for name, value in trainer.callback_metrics.items()})

    def of(self, name):
        return [row.get(name) for row in self.rows]


def quietly(make, callbacks, data=None, **options):
    """Train, and keep warnings apart."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run, module = fit(callbacks, make, data or Marked(), **options)
    return run, module, [str(warning.message) for warning in caught if "SaliencyMonitor" in str(warning.message)]


def alarms(make, epochs=3, data=None, **options):
    """Return the states of the alarm, what is said, and the monitor."""
    values, monitor = Values(), watch(**options)
    _, _, said = quietly(make, [monitor, values], data, max_epochs=epochs)
    return values.of("saliency/alarm"), said, monitor


def test_a_shortcut_is_suspected_first_then_confirmed_and_told_once():
    states, said, monitor = alarms(cheat, epochs=4)
    assert states == [1, 2, 2, 2]
    assert len(said) == 1
    assert "Since epoch 0 predictions follow the wide frame: 100% ± 3% more of the images of other classes" in said[0]
    assert (monitor.alarm.state, monitor.alarm.cue) == (2, "wide_frame")
    assert set(monitor.alarm.suspects) == set(HOLD_THE_CORNER)


def test_halves_confirm_where_the_evaluation_before_is_epochs_old():
    values, monitor = Values(), watch(every_n_epochs=3)
    _, _, said = quietly(cheat, [monitor, values], max_epochs=3)
    assert values.of("saliency/alarm") == [None, None, 2]
    assert len(said) == 1
    assert "not confirmed yet" not in said[0]


def test_an_honest_network_raises_no_alarm():
    assert alarms(honest)[:2] == ([0, 0, 0], [])


def test_each_cue_has_the_effect_that_is_known():
    values = Values()
    quietly(cheat, [watch(), values], max_epochs=1)
    for cue in cues.DEFAULT:
        expected = 1 if cue.name in HOLD_THE_CORNER else 0
        # A shift moves the mark of a host out of the picture now and then.
        assert values.rows[0][f"saliency/cues/{cue.name}"] == pytest.approx(expected, abs=0.2), cue.name


def test_default_names_are_logged_and_all_others_are_in_the_table(tmp_path):
    logger, monitor, values = CSVLogger(tmp_path, name="", version="log"), watch(), Values()
    quietly(cheat, [monitor, values], logger=logger, max_epochs=2)
    logged = {name for name in values.rows[-1] if "/cues/" in name}
    assert logged == {f"saliency/cues/{cue.name}" for cue in cues.DEFAULT}
    with Path(logger.log_dir, "evaluations.csv").open() as file:
        table = list(csv.DictReader(file))
    first, second = (
        {row["name"] for row in table if row["epoch"] == epoch and "/cues/" in row["name"]} for epoch in ("0", "1")
    )
    names = {cue.name for cue in cues.DEFAULT}
    assert {f"saliency/cues/{name}" for name in names} <= first
    assert {f"saliency/cues/{name}_worst" for name in names} <= first
    assert "saliency/cues/spectrum_conflict" in first
    # A suspicion is looked at more closely.
    assert second - first >= {"saliency/cues/cell_0_0", "saliency/cues/cell_3_3", "saliency/cues/frame"}
    errors = {row["name"]: row["stderr"] for row in table}
    assert float(errors["saliency/cues/wide_frame"]) == pytest.approx(0.026, abs=0.001)


def test_log_asks_for_more():
    values = Values()
    quietly(cheat, [watch(log=("cues/wide_frame_worst", "cues/*_stderr", "cues/cell_0_0")), values])
    assert {"saliency/cues/wide_frame_worst", "saliency/cues/level_stderr"} <= set(values.rows[0])
    assert "saliency/cues/cell_0_0" not in values.rows[0]
    assert values.rows[1]["saliency/cues/cell_0_0"] == 1


GATES = {"alarm": {"saliency/alarm": "<= 0"}, "cue": {"saliency/cues/wide_frame": "<= 0.1 by 2 stderr"}}


@pytest.mark.parametrize("gates", GATES.values(), ids=GATES)
def test_gates_refuse_a_cheat_in_the_first_epoch_and_pass_an_honest_network(tmp_path, gates):
    for make, passed in ((cheat, [False, False]), (honest, [True, True])):
        gate = GatedCheckpoint(tmp_path / make.__name__, "{epoch}", gates=gates, save_top_k=-1)
        quietly(make, [watch(), gate])
        assert [decision.passed for decision in gate.decisions] == passed
        assert len(list((tmp_path / make.__name__).glob("*.ckpt"))) == sum(passed)


def test_a_gate_on_a_cue_that_is_not_computed_is_refused(tmp_path):
    gate = GatedCheckpoint(tmp_path, gates={"saliency/cues/wide_frame": "<= 0.1"})
    with pytest.raises(ValueError, match="but got 'saliency/cues/wide_frame'"):
        fit([watch(cues=["level"]), gate], cheat, Marked())


def test_a_confirmed_alarm_can_stop_training():
    run, _, said = quietly(cheat, [watch(on_alarm="stop")], max_epochs=5)
    assert (run.current_epoch, len(said)) == (2, 1)
    run, _, said = quietly(honest, [watch(on_alarm="stop")], max_epochs=3)
    assert (run.current_epoch, said) == (3, [])


def test_a_function_gets_the_alarm_once():
    received = []
    alarms(cheat, on_alarm=received.append, epochs=4)
    (alarm,) = received
    assert (alarm.state, alarm.cue, alarm.families[0]) == (2, "wide_frame", "place")


def complain(alarm):
    raise RuntimeError(f"no {alarm.cue} here")


def test_a_function_that_fails_does_not_stop_training():
    states, said, _ = alarms(cheat, on_alarm=complain)
    assert states == [1, 2, 2]
    assert sum("no wide_frame here" in message for message in said) == 1


def test_a_function_that_fails_stops_training_where_errors_are_raised():
    with pytest.raises(RuntimeError, match="no wide_frame here"):
        alarms(cheat, on_alarm=complain, on_error="raise")


def test_what_is_allowed_raises_no_alarm():
    assert alarms(cheat, allow=HOLD_THE_CORNER)[:2] == ([0, 0, 0], [])
    states, _, monitor = alarms(cheat, allow=["wide_frame"])
    assert states == [1, 2, 2]
    assert monitor.alarm.cue != "wide_frame"


def test_without_cues_nothing_is_followed():
    values, monitor = Values(), watch(cues=())
    quietly(cheat, [monitor, values])
    assert not any("/cues/" in name or name.endswith("/alarm") for name in values.rows[-1])
    assert monitor.last.followings == {}
    assert monitor.alarm.state == 0


@dataclass(frozen=True)
class Corner(Cue):
    """Holds exactly the corner that the cheat reads."""

    name = "corner"
    families = ("place",)
    evidence = "tolerance"

    def transplant(self, hosts, donors, donor_maps):
        changed = hosts.clone()
        changed[..., :CORNER, :CORNER] = donors[..., :CORNER, :CORNER]
        return changed


def test_cues_are_chosen_by_name_and_by_instance_and_one_may_be_the_users_own():
    values, monitor = Values(), watch(cues=["level", cues.Cell(0, 0), Corner()], num_hosts=2)
    _, _, said = quietly(cheat, [monitor, values], max_epochs=2)
    logged = {name.removeprefix("saliency/cues/") for name in values.rows[0] if "/cues/" in name}
    assert logged == {"level", "cell_0_0", "corner"}
    assert values.rows[0]["saliency/cues/corner"] == 1
    assert monitor.last.followings["corner"].hosts.shape == (30, 2)
    assert values.of("saliency/alarm") == [1, 2]
    assert len(said) == 1


WRONG = {
    "unknown cue": ({"cues": ["hole"]}, ValueError, "`cues` must hold names"),
    "a text": ({"cues": "level"}, TypeError, "`cues` must be a sequence"),
    "allowed cue": ({"allow": ["hole"]}, ValueError, "`allow` must hold names of cues"),
    "allowed text": ({"allow": "level"}, TypeError, "`allow` must be a sequence"),
    "what to do": ({"on_alarm": "shout"}, ValueError, "`on_alarm`"),
    "hosts": ({"num_hosts": 0}, ValueError, "`num_hosts`"),
    "a method named like them": ({"methods": {"cues": "gradient"}}, (TypeError, ValueError), "cues|callable"),
}


@pytest.mark.parametrize(("options", "error", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        watch(**options)


class Data30(Marked):
    """Watched images with other labels, or none."""

    def __init__(self, *items):
        super().__init__()
        self.items = items

    def val_dataloader(self):
        return DataLoader(TensorDataset(*self.items), 10)


class Unlabelled(Classifier):
    """Validates without labels of one class an image."""

    def __init__(self):
        super().__init__(cheat().network)

    def validation_step(self, batch, batch_idx):
        pass


@pytest.mark.parametrize("kind", ["absent", "several classes an image"])
def test_without_labels_that_are_classes_there_are_no_cues_and_one_note(kind, caplog):
    caplog.set_level("INFO")
    images, labels = pictures(30)
    marks = torch.nn.functional.one_hot(labels, CLASSES).float()
    data = Data30(images) if kind == "absent" else Data30(images, marks)
    values = Values()
    _, _, said = quietly(Unlabelled, [watch(target="predicted"), values], data)
    told = [*said, *(record.message for record in caplog.records)]
    assert sum("Cues are left out" in message for message in told) == 1
    assert not any("/cues/" in name or name.endswith("/alarm") for name in values.rows[-1])
    assert all(math.isfinite(value) for value in values.rows[-1].values())


def test_labels_are_those_of_the_data_whatever_class_is_explained():
    monitors = [watch(name=name, target=target) for name, target in (("a", None), ("b", "predicted"), ("c", 0))]
    values = Values()
    quietly(cheat, [*monitors, values], max_epochs=1)
    for cue in cues.DEFAULT:
        assert len({values.rows[0][f"{name}/cues/{cue.name}"] for name in "abc"}) == 1
    assert monitors[1].last.followings["level"].labels.tolist() == pictures(30)[1].tolist()


class WithoutSome(Marked):
    """Some labels are those that a loss would leave out."""

    def val_dataloader(self):
        images, labels = pictures(48)
        labels[40:43] = -1
        labels[3] = 99
        return DataLoader(TensorDataset(images, labels), 10)


class Ignoring(Classifier):
    def __init__(self):
        super().__init__(cheat().network)

    def validation_step(self, batch, batch_idx):
        pass


def test_images_whose_label_is_no_class_are_neither_donors_nor_hosts():
    values, monitor = Values(), watch(num_images=48)
    _, _, said = quietly(Ignoring, [monitor, values], WithoutSome())
    following = monitor.last.followings["wide_frame"]
    assert len(following.indices) == 44
    assert not {3, 40, 41, 42} & set(following.indices.tolist())
    assert values.rows[0]["saliency/cues/wide_frame"] == 1
    assert values.of("saliency/alarm") == [1, 2]
    assert sum("follow the wide frame" in message for message in said) == 1


def test_one_class_only_gives_no_values_and_says_so(caplog):
    caplog.set_level("INFO")
    images, labels = pictures(90)
    one = labels == 1
    values = Values()
    quietly(cheat, [watch(), values], Data30(images[one], labels[one]))
    assert not any("/cues/" in name for name in values.rows[-1])
    assert values.of("saliency/alarm") == [0, 0]
    assert sum("at least two classes" in record.message for record in caplog.records) == 1


class Small(Data30):
    """Training images of the size of those that are watched."""

    def train_dataloader(self):
        return DataLoader(TensorDataset(*(column[:12] for column in self.items)), 6)


class Fixed(Classifier):
    """Trains nothing of a network."""

    def __init__(self, network):
        super().__init__(network)

    def training_step(self, batch, batch_idx):
        return 0 * sum(parameter.sum() for parameter in self.parameters())

    def validation_step(self, batch, batch_idx):
        pass


def outcome(network, data, caplog, **options):
    """Return the values of the last evaluation and what was said, none of them NaN."""
    caplog.set_level("INFO")
    values, monitor = Values(), watch(**options)
    _, _, said = quietly(lambda: Fixed(network), [monitor, values], data)
    assert all(math.isfinite(value) for value in values.rows[-1].values())
    return values.rows[-1], monitor, " ".join([*said, *(record.message for record in caplog.records)])


def test_a_class_of_one_image_counts_in_the_mean_alone(caplog):
    images, labels = pictures(30)
    labels[labels == 2] = torch.arange(10) % 2
    labels[2] = 2
    logged, monitor, _ = outcome(cheat().network, Data30(images, labels), caplog)
    assert logged["saliency/alarm"] == 2
    effect = monitor.last.followings["wide_frame"].effect
    assert effect.donors.tolist() == [14, 15, 1]
    assert [*effect.of_classes()] == [0, 1]


class PredictsOneClass(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.tensor([2.0, 1.0, 0.0]))

    def forward(self, images):
        return self.bias + 0 * images.flatten(1)[:, :3]


@pytest.mark.filterwarnings("ignore:.*maps of 'gradient' are constant")
def test_a_network_that_predicts_one_class_is_silent_and_says_so(caplog):
    logged, monitor, said = outcome(PredictsOneClass(), Data30(*pictures(30)), caplog)
    assert logged["saliency/alarm"] == 0
    assert monitor.last.followings["level"].left_out == (0,)
    assert said.count("decides on no cue yet: The accuracy on the donors is 33%") == 1


@pytest.mark.parametrize(("side", "names"), [(2, {"level", "colour"}), (3, {"wide_frame", "level", "shift"})])
def test_images_smaller_than_the_grid_have_fewer_cues(caplog, side, names):
    images, labels = torch.rand(30, 3, side, side, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 3
    images[:, :, 0, 0] = 0.9 * torch.eye(3)[labels]
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * side**2, 3, bias=False))
    network[1].weight.data.zero_()[range(3), range(0, 3 * side**2, side**2)] = 1.0
    logged, monitor, _ = outcome(network, Small(images, labels), caplog)
    assert "saliency/cues/window" not in logged
    assert {f"saliency/cues/{name}" for name in names} <= {*logged}
    assert "sides of at least 4 pixels" in monitor.last.followings["window"].absence


class OneLogit(torch.nn.Module):
    """Compares two colours in the corner."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(10.0))

    def forward(self, images):
        return self.scale * (images[:, 1:2, 0, 0] - images[:, 0:1, 0, 0])


@pytest.mark.parametrize("form", ["whole numbers", "a column of floats"])
def test_one_logit_is_a_pair_of_classes(caplog, form):
    images, labels = pictures(45)
    images, labels = images[labels < 2], labels[labels < 2]
    logged, monitor, said = outcome(
        OneLogit(), Data30(images, labels if form == "whole numbers" else labels[:, None].float()), caplog
    )
    assert (logged["saliency/alarm"], logged["saliency/cues/wide_frame"]) == (2, 1)
    assert monitor.alarm.cue == "wide_frame"
    assert "follow the wide frame" in said


@pytest.mark.parametrize("target", [MultiLabel(), Regression(0)], ids=["several classes", "a number"])
def test_targets_that_are_no_classes_have_no_cues_and_a_monitor_says_so(caplog, target):
    images, labels = pictures(30)
    marks = torch.nn.functional.one_hot(labels, CLASSES).float()
    metrics = ["infidelity"] if isinstance(target, Regression) else ["rcap"]
    logged, _, said = outcome(cheat().network, Data30(images, marks), caplog, target=target, metrics=metrics)
    assert not any("/cues/" in name or name.endswith("/alarm") for name in logged)
    assert "no cues, which by default need a target that is a class of each image" in said


def test_without_hosts_of_another_class_there_is_no_value_and_no_alarm(caplog):
    images, labels = pictures(90)
    labels[30:] = -1
    images, labels = images[labels < 1], labels[labels < 1]
    logged, _, said = outcome(cheat().network, Data30(images, labels), caplog)
    assert logged["saliency/alarm"] == 0
    assert "Donors must be of at least two classes" in said


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_validation_and_test_confirm_by_halves_and_leave_the_state_of_training(stage):
    monitor = watch()
    quietly(cheat, [monitor], max_epochs=1)
    before = monitor.state_dict()["watch"]
    run = trainer([monitor])
    with pytest.warns(UserWarning, match=r"Predictions follow the wide frame: 100% ± 3%"):
        getattr(run, stage)(cheat(), Marked(), verbose=False)
    assert run.callback_metrics["saliency/alarm" if stage == "validate" else "test_saliency/alarm"] == 2
    assert monitor.state_dict()["watch"] == before
    assert monitor.alarm.state == 1


@pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable")
def test_a_resumed_run_confirms_as_one_that_was_not_interrupted(tmp_path):
    through = Values()
    saving = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, save_on_train_epoch_end=False)
    quietly(cheat, [watch(), saving, through], max_epochs=3)
    resumed, monitor = Values(), watch()
    run = trainer([monitor, resumed, saving], max_epochs=3)
    seed_everything(1, verbose=False)
    with pytest.warns(UserWarning, match=WARNING):
        run.fit(cheat(), Marked(), ckpt_path=tmp_path / "epoch=0.ckpt")
    assert resumed.of("saliency/alarm") == through.of("saliency/alarm")[1:] == [2, 2]
    json.dumps(monitor.state_dict()["watch"])


def test_picture_text_card_and_charts_are_in_tensorboard(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    quietly(cheat, [watch()], logger=logger, max_epochs=2, log_every_n_steps=1)
    log = read_run(Path(logger.log_dir), "run")
    assert list(log.scalars["saliency/alarm"].values()) == [1, 2]
    suspicion, confirmation = text_of(read(logger), "saliency/alarm")
    assert "predictions follow the wide frame, not confirmed yet: 100%" in suspicion
    assert "predictions follow the wide frame: 100%" in confirmation
    (card,) = log.texts["saliency/card"].values()
    assert "the network follows" in card
    layout = "".join(map(str, read(logger).Tensors("custom_scalars__config__")))
    assert "cues followed" in layout
    assert {tag for tag in log.pictures if tag.startswith("saliency/cues/")} == {"saliency/cues/wide_frame"}
    # The map of places needs further cues, which are computed after a suspicion.
    before, after = read(logger).Images("saliency/cues/wide_frame")
    assert after.width > 1.3 * before.width


def test_an_honest_run_has_no_picture_of_a_cue(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    quietly(honest, [watch()], logger=logger)
    log = read_run(Path(logger.log_dir), "run")
    assert not any(tag.startswith("saliency/cues/") for tag in log.pictures)
    assert not any(tag.startswith("saliency/alarm") for tag in read(logger).Tags()["tensors"])


EVALUATE = {key: value for key, value in OPTIONS.items() if key != "num_panels"}


def test_evaluate_returns_records_the_alarm_and_values():
    evaluation = evaluate(cheat(), pictures(48), **EVALUATE)
    assert list(evaluation.followings) == [cue.name for cue in cues.DEFAULT]
    assert (evaluation.alarm.state, evaluation.alarm.cue) == (2, "wide_frame")
    summary = evaluation.summary()
    assert summary["saliency/cues/wide_frame"].value == 1
    assert summary["saliency/alarm"].value == 2
    assert summary["saliency/cues/wide_frame"].num_images == 30
    assert evaluate(honest(), pictures(48), **EVALUATE).alarm.state == 0
    assert evaluate(cheat(), pictures(48), cues=(), **EVALUATE).followings == {}


def test_shares_merge_to_what_one_process_has():
    alone = evaluate(cheat(), pictures(48), **EVALUATE)
    merged = Evaluation.merge([evaluate(cheat(), pictures(48), share=(rank, 3), **EVALUATE) for rank in range(3)])
    assert merged.alarm == alone.alarm
    for name, following in alone.followings.items():
        assert torch.equal(merged.followings[name].pack(), following.pack()), name


def test_images_of_several_sizes_have_the_values_of_those_like_the_hosts():
    images, labels = pictures(30)
    large = torch.nn.functional.pad(images, (0, 8, 0, 8))

    class Resizing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = cheat().network

        def forward(self, images):
            return self.network(images[..., :16, :16])

    batches = [(images[:24], labels[:24]), (large[24:], labels[24:])]
    evaluation = evaluate(Resizing(), batches, **EVALUATE)
    assert len(evaluation.indices) == 30
    assert len(evaluation.followings["wide_frame"].indices) == 24
    assert evaluation.alarm.state == 2


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(*pictures(30), strict=True))


class Streamed(Marked):
    def val_dataloader(self):
        return DataLoader(Stream(), 10)


def test_a_stream_is_followed_too():
    states, said, _ = alarms(cheat, data=Streamed())
    assert states == [1, 2, 2]
    assert len(said) == 1


def test_a_budget_of_seconds_leaves_fewer_donors():
    values, monitor = Values(), watch(max_seconds=1e-6)
    _, _, said = quietly(cheat, [monitor, values])
    assert sum("from now on" in message for message in said) == 1
    assert len(monitor.last.followings["wide_frame"].indices) < 30
    assert values.of("saliency/alarm")[0] == 1


class Broken(Corner):
    """Cannot be put anywhere."""

    name = "broken"

    def transplant(self, hosts, donors, donor_maps):
        raise RuntimeError("out of paste")


def test_a_cue_that_fails_follows_on_error():
    values = Values()
    _, _, said = quietly(cheat, [watch(cues=[Broken()]), values])
    assert any("out of paste" in message for message in said)
    with pytest.raises(RuntimeError, match="out of paste"):
        fit([watch(cues=[Broken()], on_error="raise")], cheat, Marked())


def test_training_is_bit_identical_with_an_alarm_and_without_a_monitor():
    watched = quietly(cheat, [watch()], max_epochs=3)[:2]
    assert_identical(trace(*watched), trace(*quietly(cheat, [], max_epochs=3)[:2]))


def test_a_check_tells_the_cost_of_cues():
    dear, cheap = (watch(**options).check(cheat(), Marked()) for options in ({}, {"cues": ()}))
    assert dear.forwards > cheap.forwards
    assert dear.backwards == cheap.backwards + 10  # integrated gradients, once a donor


def test_finished_checkpoints_are_confirmed_from_one_to_the_next(tmp_path):
    saving = ModelCheckpoint(tmp_path / "checkpoints", "{epoch}", save_top_k=-1)
    fit([saving], cheat, Marked(), max_epochs=3)
    paths = sorted((tmp_path / "checkpoints").glob("*.ckpt"))
    call = partial(evaluate_checkpoints, cheat(), Marked(), output=tmp_path / "out", accelerator="cpu")
    assert call(paths[:1], monitor=watch()) == []
    with pytest.warns(UserWarning, match="follow the wide frame"):
        assert call(paths, monitor=watch()) == []
    log = read_run(tmp_path / "out", "run")
    assert [log.scalars["saliency/alarm"][step] for step in sorted(log.scalars["saliency/alarm"])] == [1, 2, 2]
    assert "saliency/cues/wide_frame" in log.pictures


def of_processes(received, **options):
    values, monitor = Values(), watch(on_alarm=received.append, log=("cues/*",))
    quietly(cheat, [monitor, values], max_epochs=2, **options)
    rows = [{name: value for name, value in row.items() if "/cues/" in name or "alarm" in name} for row in values.rows]
    return rows, monitor.alarm, received


def scenario():
    ddp = {"strategy": "ddp", "devices": 2}
    return of_processes([], **ddp)


def test_two_processes_have_the_values_and_the_alarm_of_one(tmp_path):
    rows, alarm, received = of_processes([])
    assert rows[1]["saliency/alarm"] == 2
    for other_rows, other_alarm, other_received in spawn(scenario, tmp_path):
        assert other_rows == rows
        assert other_alarm == alarm
        assert other_received == received


def test_grey_images_have_no_colour():
    values = Values()
    quietly(Classifier, [watch(mean=0.5, std=0.25, num_images=12), values], Data(), max_epochs=2)
    assert "saliency/cues/level" in values.rows[0]
    assert "saliency/cues/colour" not in values.rows[0]
