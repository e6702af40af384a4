"""Cues are swapped in training only, the alarm decides when, and everything else stays as it is."""

import copy
import pickle
import warnings
from collections import UserDict, namedtuple
from dataclasses import dataclass
from functools import partial

import lightning.pytorch as pl
import pytest
import pytorch_lightning
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_saliency import CueSwap, SaliencyMonitor, SwapCues
from tests.callbacks.processes import spawn
from tests.callbacks.reading import CORNER, Marked, Reader, cheat, honest, marks, pictures, templates
from tests.callbacks.test_cues import OPTIONS, Corner, Values
from tests.callbacks.test_dashboard import read, text_of
from tests.callbacks.test_name_spaces import OtherData, fit_other
from tests.callbacks.test_resume import Reseeding
from tests.callbacks.training import Classifier, assert_identical, fit, trace, trainer

HOOK = "on_after_batch_transfer"


def watch(**options):
    return SaliencyMonitor(**{**OPTIONS, "cues": ["wide_frame", "level"], "num_hosts": 1, **options})


def levelled(size=12, classes=3):
    """Make images whose level is the label."""
    labels = torch.arange(size) % classes
    return labels.float().reshape(-1, 1, 1, 1).expand(-1, 1, 8, 8).clone(), labels


class Witness(pl.LightningModule):
    """Keeps the batches that training and validation get."""

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
        self.trained, self.validated = [], []

    def forward(self, images):
        return self.network(images)

    def training_step(self, batch, batch_idx):
        self.trained.append(batch)
        return next(self.parameters()).sum()

    def validation_step(self, batch, batch_idx):
        self.validated.append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.0)


def _same(batch):
    return batch


class Batches(pl.LightningDataModule):
    """Hands out the same batches again and again."""

    def __init__(self, *batches):
        super().__init__()
        self.batches = batches

    def train_dataloader(self):
        return DataLoader(self.batches, batch_size=None, collate_fn=_same)

    val_dataloader = train_dataloader


def swapped(*batches, module=None, data=None, callbacks=(), **options):
    """Train on batches, of which the cue `level` is swapped, and return the module."""
    module = module or Witness()
    seed_everything(1, verbose=False)
    defaults = {"cues": ["level"], "when": "always"}
    extras = {name: options.pop(name) for name in [*options] if name in ("max_epochs", "precision")}
    run = trainer([CueSwap(**{**defaults, **options}), *callbacks], **{"max_epochs": 1, **extras})
    run.fit(module, data or Batches(*batches))
    return module


Named = namedtuple("Named", ["scan", "kind"])


@dataclass
class Record:
    image: Tensor
    label: Tensor
    name: str = "a"


class Pair(tuple):
    """A tuple of the user's."""

    __slots__ = ()


class Object:
    def __init__(self, scans, kinds):
        self.scans, self.kinds = scans, kinds


def images_in(batch, *place):
    for step in place:
        batch = getattr(batch, step) if isinstance(step, str) and hasattr(batch, step) else batch[step]
    return batch


IMAGES, LABELS = levelled()
FUNCTIONS = (lambda batch: (batch.scans, batch.kinds), lambda batch, images: Object(images, batch.kinds))
NESTED = (lambda batch: (batch[0]["a"], batch[1]), lambda batch, images: ({**batch[0], "a": images}, batch[1]))
KINDS = {
    "tuple": ((IMAGES, LABELS), {}, [0]),
    "list": ([IMAGES, LABELS, "more"], {}, [0]),
    "named tuple": (Named(IMAGES, LABELS), {}, ["scan"]),
    "named tuple by name": (Named(LABELS, IMAGES), {"batch": ("kind", "scan")}, ["kind"]),
    "tuple of the user's": (Pair((IMAGES, LABELS)), {}, [0]),
    "second place": ((LABELS, IMAGES), {"batch": (1, 0)}, [1]),
    "last place": ((LABELS, IMAGES), {"batch": (-1, 0)}, [-1]),
    "dictionary": ({"image": IMAGES, "label": LABELS, "id": ["a"] * 12}, {}, ["image"]),
    "keys": ({"scan": IMAGES, "kind": LABELS}, {"batch": ["scan", "kind"]}, ["scan"]),
    "key without labels": ({"scan": IMAGES, "kind": LABELS}, {"batch": ["scan"]}, ["scan"]),
    "no labels by name": ((IMAGES, ["text"] * 12), {"batch": (0, None)}, [0]),
    "mapping of the user's": (UserDict(pixel_values=IMAGES, labels=LABELS), {}, ["pixel_values"]),
    "dataclass": (Record(IMAGES, LABELS), {}, ["image"]),
    "images alone": (IMAGES, {}, []),
    "texts beside images": ((IMAGES, ["text"] * 12), {}, [0]),
    "functions": (Object(IMAGES, LABELS), {"batch": FUNCTIONS}, ["scans"]),
    "nested": (({"a": IMAGES}, LABELS), {"batch": NESTED}, [0, "a"]),
}


@pytest.mark.parametrize(("batch", "options", "place"), KINDS.values(), ids=KINDS)
def test_batches_keep_their_type_and_the_loaders_tensors_stay_as_they_are(batch, options, place):
    module = swapped(batch, **options, max_epochs=3)
    expected = levelled()[0]
    assert torch.equal(images_in(batch, *place), expected)
    for received in module.trained:
        assert type(received) is type(batch)
        changed = images_in(received, *place)
        assert not torch.equal(changed, expected)
        assert {*changed.flatten().tolist()} == {0.0, 1.0, 2.0}
    assert len({tuple(images_in(received, *place)[:, 0, 0, 0].tolist()) for received in module.trained}) == 3


def test_validation_and_sanity_run_see_images_as_they_are():
    module = swapped((IMAGES, LABELS), max_epochs=2)
    assert len(module.validated) == 3
    assert all(torch.equal(images, IMAGES) for images, _ in module.validated)


def test_labels_stay_with_their_images():
    (received,) = swapped((IMAGES, LABELS)).trained
    assert received[1] is LABELS or torch.equal(received[1], LABELS)


def test_it_is_the_swap_of_the_plain_transform():
    """Both give the same images where all take part and donors cannot be told apart."""
    images, labels = levelled(2, 2)
    results = {tuple(SwapCues(["level"], seed=seed)(images, labels)[:, 0, 0, 0].tolist()) for seed in range(20)}
    trained = {tuple(received[0][:, 0, 0, 0].tolist()) for received in swapped((images, labels), max_epochs=20).trained}
    assert trained == results == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_a_subclass_of_tensors_stays_one():
    from torchvision import tv_tensors

    (received,) = swapped((tv_tensors.Image(IMAGES), LABELS)).trained
    assert type(received[0]) is tv_tensors.Image
    assert not torch.equal(received[0], IMAGES)


class Halving:
    """Overrides the hook."""

    calls = 0

    def on_after_batch_transfer(self, batch, dataloader_idx):
        self.calls += 1
        images, labels = batch
        return images.float() / 2, labels


class HalvingWitness(Halving, Witness):
    pass


class HalvingBatches(Halving, Batches):
    pass


@pytest.mark.parametrize("owner", ["module", "data", "instance"])
def test_a_hook_of_the_users_comes_first_and_is_there_again_afterwards(owner):
    integers = (IMAGES.to(torch.uint8), LABELS)
    module = HalvingWitness() if owner == "module" else Witness()
    data = HalvingBatches(integers) if owner == "data" else Batches(integers)
    given = partial(Halving.on_after_batch_transfer, Halving())
    if owner == "instance":
        data.on_after_batch_transfer = given
    # Lightning warns where a module overrides the hook and there is a data module.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        swapped(module=module, data=data)
    assert {*module.trained[0][0].flatten().tolist()} == {0.0, 0.5, 1.0}
    assert not torch.equal(module.trained[0][0], module.validated[0][0])
    assert HOOK not in vars(module)
    assert vars(data).get(HOOK) is (given if owner == "instance" else None)


class Failing(Callback):
    def on_train_batch_end(self, *arguments):
        raise RuntimeError("no more")


def test_the_hook_is_restored_after_an_exception():
    module = Witness()
    with pytest.raises(RuntimeError, match="no more"):
        swapped((IMAGES, LABELS), module=module, callbacks=[Failing()])
    assert HOOK not in vars(module)


class Copying(Callback):
    """Copies the module while it trains."""

    def on_train_batch_end(self, trainer, pl_module, *arguments):
        self.copies = [copy.deepcopy(pl_module), pickle.loads(pickle.dumps(Witness.__new__(Witness)))]
        pl_module.trainer, kept = None, pl_module.trainer
        self.copies[1] = pickle.loads(pickle.dumps(pl_module))
        pl_module.trainer = kept


def test_copies_of_the_module_change_nothing():
    copying = Copying()
    swapped((IMAGES, LABELS), callbacks=[copying])
    for copied in copying.copies:
        assert copied.on_after_batch_transfer((IMAGES, LABELS), 0)[0] is IMAGES


def test_batches_before_and_after_the_fit_are_left_alone():
    module, data = Witness(), Batches((IMAGES, LABELS))
    swapped(module=module, data=data)
    run = trainer([CueSwap(["level"], when="always")])
    run.validate(module, data, verbose=False)
    assert torch.equal(module.validated[-1][0], IMAGES)
    assert module.on_after_batch_transfer((IMAGES, LABELS), 0)[0] is IMAGES


def test_torchs_random_state_is_not_advanced():
    batches = [(IMAGES, LABELS)] * 3
    module = Witness()
    seed_everything(1, verbose=False)
    trainer([], max_epochs=2).fit(module, Batches(*batches))
    expected = torch.get_rng_state()
    swapped(*batches, module=Witness(), max_epochs=2)
    assert torch.equal(torch.get_rng_state(), expected)


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed", "64-true"])
def test_precision(precision):
    (received,) = swapped((IMAGES, LABELS), precision=precision).trained
    expected = {"bf16-true": torch.bfloat16, "bf16-mixed": torch.float32, "64-true": torch.float64}
    assert received[0].dtype == expected[precision]
    assert {*received[0].flatten().tolist()} == {0.0, 1.0, 2.0}


def test_batches_without_donors_are_left_counted_and_told_once():
    swap = CueSwap(["level"], when="always")
    module = Witness()
    one_class = (IMAGES, torch.zeros(12, dtype=torch.int64))
    run = trainer([swap], max_epochs=3)
    with pytest.warns(UserWarning, match="All batches of an epoch had images of one class only") as caught:
        run.fit(module, Batches(one_class, (IMAGES[:1], LABELS[:1])))
    assert sum("CueSwap" in str(warning.message) for warning in caught) == 1
    assert swap.num_left_batches == 6
    assert all(torch.equal(images, IMAGES[: len(images)]) for images, _ in module.trained)
    assert run.callback_metrics["cue_swap/level"] == 0


def test_the_share_of_swapped_images_is_logged():
    values = Values()
    module = swapped(*[(IMAGES, LABELS)] * 4, callbacks=[values], probability=0.5)
    share = sum((images[:, 0, 0, 0] != labels).float().mean() for images, labels in module.trained) / 4
    assert module.trainer.callback_metrics["cue_swap/level"] == pytest.approx(float(share))
    assert 0.1 < share < 0.6


WRONG = {
    "cue": ({"cues": ["window"]}, ValueError, r"no maps, but got \['window'\]"),
    "probability": ({"probability": 2}, ValueError, "`probability`"),
    "when": ({"when": "never"}, ValueError, "`when`"),
    "patience": ({"patience": 0}, ValueError, "`patience`"),
    "seed": ({"seed": -1}, ValueError, "`seed`"),
    "batch text": ({"batch": "image"}, TypeError, "`batch` must be keys"),
    "batch of three": ({"batch": ("a", "b", "c")}, TypeError, "`batch` must be keys"),
    "one function": ({"batch": [len]}, TypeError, "`batch` must be keys"),
}


@pytest.mark.parametrize(("options", "error", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        CueSwap(**options)


REFUSED = {
    "integers": ((IMAGES.long(), LABELS), {}, TypeError, "floating point.*Pass `batch`"),
    "unknown key": ({"scan": IMAGES}, {}, ValueError, r"got keys \['scan'\].  Pass `batch`"),
    "unknown object": (Object(IMAGES, LABELS), {}, ValueError, "got Object.  Pass `batch`"),
    "batches of two loaders": ({"a": (IMAGES, LABELS)}, {}, ValueError, r"got keys \['a'\].  Pass `batch`"),
    "absent key": ({"image": IMAGES}, {"batch": ("scan",)}, ValueError, "`batch` must name parts"),
    "a function without labels": (
        (IMAGES, LABELS),
        {"batch": (lambda batch: batch[0], lambda batch, images: images)},
        TypeError,
        r"returns \(images, labels\), but got Tensor \(12, 1, 8, 8\)",
    ),
    "no images": (("a", "b"), {}, TypeError, "got str.*Pass `batch`"),
    "labels of other images": ((IMAGES, LABELS[:3]), {}, ValueError, "each of 12 images.*Pass `batch`"),
    "grey images": (
        (IMAGES, LABELS),
        {"cues": ["level", "colour"]},
        ValueError,
        "'colour' must have at least 2 channels",
    ),
    "small images": ((IMAGES[..., :2], LABELS), {"cues": ["wide_frame"]}, ValueError, "'wide_frame' must have sides"),
}


@pytest.mark.parametrize(("batch", "options", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_unknown_images_are_refused_at_the_first_training_batch(batch, options, error, message):
    module = Witness()
    with pytest.raises(error, match=message):
        swapped(batch, module=module, **options)
    assert module.trained == []
    assert HOOK not in vars(module)


def test_they_are_refused_too_while_there_is_no_alarm():
    class Elsewhere(Classifier):
        def training_step(self, batch, batch_idx):
            return super().training_step((batch["scan"], batch["kind"]), batch_idx)

    class Other(Marked):
        def train_dataloader(self):
            images, labels = pictures(12)
            return DataLoader([{"scan": images, "kind": labels}], batch_size=None)

    with pytest.raises(ValueError, match="Pass `batch`"):
        fit([watch(), CueSwap()], lambda: Elsewhere(honest().network), Other())


class Fetching(Witness):
    def training_step(self, dataloader_iter):
        next(dataloader_iter)


@pytest.mark.filterwarnings("ignore:.*`dataloader_iter` step flavor")
def test_a_module_that_fetches_its_batches_is_refused_in_set_up():
    with pytest.raises(ValueError, match=r"got `dataloader_iter`.  Call `SwapCues`"):
        swapped((IMAGES, LABELS), module=Fetching())


def test_two_of_them_are_refused():
    with pytest.raises(RuntimeError, match="more than one stateful callback of type `CueSwap`"):
        trainer([CueSwap(when="always"), CueSwap(when="always")])


CONFIRMED_AT = 1


class Reformed(Classifier):
    """Reads the corner until some epoch, and then the object."""

    def __init__(self, until=100, relapses=100):
        super().__init__(Reader(marks()))
        self.until, self.relapses = until, relapses
        self.received = []

    def on_train_epoch_start(self):
        is_honest = self.until <= self.current_epoch < self.relapses
        patterns = templates().expand(-1, 3, -1, -1) if is_honest else marks()
        self.network.patterns.copy_(patterns / patterns.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1))

    def training_step(self, batch, batch_idx):
        self.received.append((self.current_epoch, *batch))
        return super().training_step(batch, batch_idx)


def corner_of(images):
    """Return the class that the mark of each image stands for."""
    return images[:, :, :CORNER, :CORNER].mean(dim=(2, 3)).argmax(dim=1)


def shares(module, epochs):
    """Return the share of images whose mark stands for another class, epoch by epoch."""
    parts = [
        torch.cat([corner_of(images) != labels for at, images, labels in module.received if at == epoch])
        for epoch in range(epochs)
    ]
    return [part.float().mean().item() for part in parts]


class Many(Marked):
    def train_dataloader(self):
        return DataLoader(TensorDataset(*pictures(120)), 30, shuffle=True)


def cured(make=Reformed, epochs=4, swap=None, monitor=None, callbacks=(), **options):
    """Train with an alarm and its cure, and return the module and the values after each validation."""
    values = Values()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        callbacks = [swap or CueSwap(), monitor or watch(), values, *callbacks]
        _, module = fit(callbacks, make, Many(), max_epochs=epochs, **options)
    module.said = [str(warning.message) for warning in caught if "CueSwap" in str(warning.message)]
    return module, values


def test_the_cue_that_the_alarm_names_is_swapped_after_it_is_confirmed(caplog):
    caplog.set_level("INFO")
    module, values = cured()
    assert values.of("saliency/alarm") == [1, 2, 2, 2]
    assert shares(module, 4)[: CONFIRMED_AT + 1] == [0, 0]
    # Two thirds of the donors are of another class.
    assert shares(module, 4)[2:] == pytest.approx([2 / 3] * 2, abs=0.15)
    assert "cue_swap/wide_frame" not in values.rows[1]
    logged = module.trainer.callback_metrics
    assert logged["cue_swap/wide_frame"] == pytest.approx(shares(module, 4)[3])
    said = [record.message for record in caplog.records if "CueSwap" in record.message]
    assert said == [
        "CueSwap: Predictions follow the wide frame, so the cues wide frame, places are swapped between training "
        "images, with probability 1 from now on."
    ]
    images = torch.cat([images for epoch, images, _ in module.received if epoch == 3])
    labels = torch.cat([labels for epoch, _, labels in module.received if epoch == 3])
    middle = slice(2 * CORNER, -CORNER)
    originals, kinds = pictures(120)
    for image, label in zip(images, labels, strict=True):
        candidates = originals[kinds == label][..., middle, middle]
        assert (candidates == image[..., middle, middle]).flatten(1).all(dim=1).any(), "only the border is swapped"


def test_the_order_of_the_callbacks_does_not_matter():
    swaps = CueSwap(), CueSwap()
    first, _ = cured(swap=swaps[0], epochs=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, second = fit([watch(), swaps[1]], Reformed, Many(), max_epochs=3)
    assert_identical(first.losses, second.losses)
    assert_identical(swaps[0].state_dict(), swaps[1].state_dict())


def test_a_quiet_alarm_halves_the_probability_and_a_suspicion_restores_it(caplog):
    caplog.set_level("INFO")
    module, values = cured(partial(Reformed, 2, 5), 8, CueSwap(patience=2))
    assert values.of("saliency/alarm") == [1, 2, 0, 0, 0, 1, 2, 2]
    expected = [0, 0, 2 / 3, 2 / 3, 1 / 3, 1 / 3, 2 / 3, 2 / 3]
    assert shares(module, 8) == pytest.approx(expected, abs=0.15)
    said = [record.message for record in caplog.records if "CueSwap" in record.message]
    assert "The alarm has been quiet for 2 evaluations" in said[1]
    assert "A cue is suspected again" in said[2]
    assert len(said) == 3


def test_without_an_alarm_training_is_bit_identical_to_one_without_the_swap():
    with_swap = fit([watch(), CueSwap()], lambda: Classifier(honest().network), Many(), max_epochs=3)
    alone = fit([watch()], lambda: Classifier(honest().network), Many(), max_epochs=3)
    neither = fit([], lambda: Classifier(honest().network), Many(), max_epochs=3)
    assert_identical(trace(*with_swap), trace(*alone))
    assert_identical(trace(*with_swap), trace(*neither))
    assert not any(name.startswith("cue_swap") for name in with_swap[0].callback_metrics)


def test_without_an_alarm_it_is_bit_identical_with_dropout_and_augmentation_too():
    options = {"mean": 0.5, "std": 0.25, "num_images": 12, "cues": ["level"]}
    run = fit([watch(**options), CueSwap()], accumulate_grad_batches=2, max_epochs=2)
    assert_identical(trace(*run), trace(*fit([], accumulate_grad_batches=2, max_epochs=2)))


def test_validations_without_an_evaluation_do_not_count_as_quiet():
    swap = CueSwap(patience=2)
    module, _ = cured(partial(Reformed, 4), 8, swap, watch(every_n_epochs=2))
    # Evaluations after epochs 1 (confirmed by halves), 3 (confirmed, with places), 5 and 7 (both quiet).
    assert shares(module, 8) == pytest.approx([0] * 2 + [2 / 3] * 6, abs=0.15)
    cure = swap.state_dict()["cure"]
    assert cure["epochs"] == {"wide_frame": 1, "places": 3}
    assert (cure["quiet"], cure["loud"]) == (2, 0)


def test_what_the_monitor_allows_is_never_swapped():
    module, values = cured(monitor=watch(allow=["wide_frame"]))
    assert max(shares(module, 4)) == 0
    assert values.of("saliency/alarm") == [0] * 4
    module = swapped((IMAGES, LABELS), cues=None, callbacks=[watch(allow=["level"])])
    logged = {name for name in module.trainer.callback_metrics if name.startswith("cue_swap/")}
    assert logged == {"cue_swap/wide_frame", "cue_swap/cell", "cue_swap/spectrum", "cue_swap/sharpness"}
    with pytest.raises(ValueError, match=r"that the monitor allows, but got \['level'\]"):
        swapped((IMAGES, LABELS), callbacks=[watch(allow=["level"])])


def test_places_that_maps_mark_stand_for_a_cue_that_needs_maps():
    swap = CueSwap()
    module, _ = cured(swap=swap, monitor=watch(cues=["window"]))
    cure = swap.state_dict()["cure"]
    assert cure["epochs"] == {"places": 1}
    assert cure["places"][0, 0]
    assert cure["places"].float().mean() < 0.15
    assert shares(module, 4) == pytest.approx([0, 0, 2 / 3, 2 / 3], abs=0.15)
    images = torch.cat([images for epoch, images, _ in module.received if epoch == 3])
    originals = pictures(120)[0]
    changed = (images[:, None] != originals[None]).any(dim=2).flatten(2)
    nearest = changed[torch.arange(len(images)), changed.float().mean(dim=2).argmin(dim=1)]
    assert not nearest[:, ~cure["places"].flatten()].any(), "only the places are swapped"


def test_places_that_may_decide_are_not_swapped():
    swap = CueSwap()
    module, _ = cured(swap=swap, monitor=watch(cues=["window"], allow=["cell_0_0", "frame"]))
    assert [*swap.state_dict()["cure"]["epochs"]] == ["places"]
    assert max(shares(module, 4)) == 0


def test_only_the_cues_that_were_named_are_swapped():
    module, _ = cured(swap=CueSwap(["level"]))
    assert max(shares(module, 4)) == 0
    assert len(module.said) == 1
    assert "follow the cue 'wide_frame', which cannot be swapped or is not among `cues`" in module.said[0]
    module, _ = cured(swap=CueSwap(["wide_frame"], probability=0.5))
    assert shares(module, 4) == pytest.approx([0, 0, 1 / 3, 1 / 3], abs=0.15)


def test_an_alarm_that_does_not_end_calls_for_the_next_suspect(caplog):
    caplog.set_level("INFO")
    swap = CueSwap()
    cured(epochs=6, swap=swap, monitor=watch(cues=["wide_frame", Corner()], allow=["window"]))
    assert swap.state_dict()["cure"]["epochs"] == {"wide_frame": 1, "corner": 5}
    assert "follow the wide frame in spite of its swap, so the cue corner is swapped" in caplog.text


def test_a_cue_of_the_users_own_is_swapped_after_its_alarm():
    swap = CueSwap()
    module, _ = cured(swap=swap, monitor=watch(cues=[Corner()], allow=["frame", "cell_0_0"]))
    assert [*swap.state_dict()["cure"]["epochs"]] == ["corner", "places"]
    assert shares(module, 4)[2:] == pytest.approx([2 / 3] * 2, abs=0.15)


def test_the_monitor_is_found_by_name():
    swap = CueSwap(monitor="second")
    monitors = [watch(allow=["wide_frame"]), watch(name="second")]
    module, _ = cured(swap=swap, monitor=monitors[0], callbacks=monitors[1:])
    assert shares(module, 4)[2] > 0.3


ABSENT = {
    "no monitor": ([], r"got 'saliency' where there is none.  Add one to the callbacks, or pass `when='always'`"),
    "another name": ([watch(name="other")], "got 'saliency' where there is 'other'"),
    "no cues": ([watch(cues=())], "whose `cues` are empty"),
}


@pytest.mark.parametrize(("monitors", "message"), ABSENT.values(), ids=ABSENT)
def test_an_alarm_that_cannot_ring_is_refused_in_set_up(monitors, message):
    with pytest.raises(ValueError, match=message):
        fit([*monitors, CueSwap()], cheat, Marked())


@pytest.mark.filterwarnings("ignore:.*Skipped the explanations")
@pytest.mark.filterwarnings("ignore:.*Nothing is explained in this training")
def test_a_training_without_validation_is_told_that_no_alarm_can_ring():
    with pytest.warns(UserWarning, match="There is no validation, so no alarm can ring"):
        fit([watch(), CueSwap()], cheat, Marked(), limit_val_batches=0, max_epochs=1)


def test_the_card_says_what_is_swapped_and_since_when(tmp_path):
    logger = TensorBoardLogger(tmp_path / "alarm", name="")
    cured(logger=logger, log_every_n_steps=1)
    first, second = text_of(read(logger), "saliency/card")
    assert "are swapped" not in first
    sentence = (
        "In training cues are swapped between images, with probability 1: wide_frame (since epoch 1), places "
        "(since epoch 1)."
    )
    assert sentence in second.replace("\\", "")
    assert [round(event.value, 3) > 0.3 for event in read(logger).Scalars("cue_swap/wide_frame")] == [True, True]
    logger = TensorBoardLogger(tmp_path / "always", name="")
    cured(swap=CueSwap(["level", "cell"], when="always", probability=0.5), logger=logger, epochs=1, log_every_n_steps=1)
    (card,) = text_of(read(logger), "saliency/card")
    assert "In training cues are swapped between images, with probability 0.5: level, cell." in card


# Resuming, processes, configurations


class Half(Many):
    """Has epochs whose halves are the same, since loaders start anew in the middle of one."""

    def train_dataloader(self):
        return DataLoader([pictures(60)] * 4, batch_size=None)


def saved(folder, ckpt_path=None, **options):
    swap = CueSwap(patience=2)
    saving = ModelCheckpoint(folder, "{step}", save_top_k=-1, save_on_train_epoch_end=False)
    run = trainer([Reseeding(), watch(), swap, saving], max_epochs=6, val_check_interval=2, **options)
    seed_everything(1, verbose=False)
    module = Reformed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run.fit(module, Half(), ckpt_path=ckpt_path)
    return run, module, swap


@pytest.fixture(scope="module")
def through(tmp_path_factory):
    folder = tmp_path_factory.mktemp("through")
    return folder, *saved(folder)


@pytest.mark.parametrize("step", [2, 6, 18])
@pytest.mark.filterwarnings("ignore:.*dataloader is not resumable")
def test_a_resumed_run_is_bit_identical_to_one_that_was_not_interrupted(tmp_path, through, step):
    """Before the alarm, after it in the middle of an epoch, and when it has been quiet."""
    folder, run, module, swap = through
    resumed, other, again = saved(tmp_path, folder / f"step={step}.ckpt")
    assert_identical(other.state_dict(), module.state_dict())
    assert_identical(resumed.optimizers[0].state_dict()["state"], run.optimizers[0].state_dict()["state"])
    assert_identical([batch[1:] for batch in other.received], [batch[1:] for batch in module.received[step:]])
    assert_identical(again.state_dict(), swap.state_dict())
    assert resumed.callback_metrics["cue_swap/wide_frame"] == run.callback_metrics["cue_swap/wide_frame"]
    assert swap.state_dict()["cure"]["quiet"] >= 2


def test_a_second_fit_begins_anew():
    swap = CueSwap()
    modules = [cured(swap=swap, epochs=3)[0] for _ in range(2)]
    assert_identical(modules[0].losses, modules[1].losses)


def test_a_damaged_state_is_refused():
    with pytest.raises(ValueError, match="the state that CueSwap wrote"):
        CueSwap().load_state_dict({"cure": 3})


def in_processes():
    ddp = {"strategy": "ddp", "devices": 2}
    swap = CueSwap()
    module, values = cured(swap=swap, epochs=3, **ddp)
    witness = Witness()
    always = CueSwap(["level"], when="always")
    trainer([always], max_epochs=1, use_distributed_sampler=False, **ddp).fit(witness, Batches((IMAGES, LABELS)))
    drawn = witness.trained[0][0][:, 0, 0, 0]
    return swap.state_dict()["cure"], values.of("saliency/alarm"), module.state_dict(), shares(module, 3), drawn


def test_two_processes_agree_and_draw_donors_of_their_own(tmp_path):
    first, second = spawn(in_processes, tmp_path)
    assert_identical(first[0], second[0])
    assert first[0]["epochs"] == {"wide_frame": 1, "places": 1}
    assert (first[0]["quiet"], first[0]["loud"]) == (0, 1)
    assert first[0]["places"][0, 0]
    assert first[1] == second[1] == [1, 2, 2]
    assert_identical(first[2], second[2])
    for result in (first, second):
        assert result[3] == pytest.approx([0, 0, 2 / 3], abs=0.2)
    assert not torch.equal(first[4], second[4]), "of the same images"


def test_accumulated_batches_are_swapped_one_by_one():
    module = swapped(*[(IMAGES, LABELS)] * 4)
    accumulated = Witness()
    run = trainer([CueSwap(["level"], when="always")], max_epochs=1, accumulate_grad_batches=2)
    run.fit(accumulated, Batches(*[(IMAGES, LABELS)] * 4))
    assert_identical([images for images, _ in accumulated.trained], [images for images, _ in module.trained])
    assert len({tuple(images[:, 0, 0, 0].tolist()) for images, _ in module.trained}) == 4


def test_it_works_in_the_other_name_space(tmp_path):
    assert isinstance(CueSwap(), pytorch_lightning.Callback)
    plain, _ = fit_other(tmp_path, [])
    run, module = fit_other(tmp_path, [CueSwap(["level"], when="always")])
    assert 0.3 < run.callback_metrics["cue_swap/level"] < 0.9
    assert HOOK not in vars(module)
    assert HOOK not in vars(run.datamodule)
    assert plain.callback_metrics.keys() < run.callback_metrics.keys()
    assert isinstance(run.datamodule, OtherData)


@pytest.mark.filterwarnings("ignore:(?s).*(JSONARGPARSE_DEPRECATION|removed in v5)")
def test_a_command_line_builds_it():
    parser = ArgumentParser()
    parser.add_subclass_arguments(Callback, "callback")
    options = "{cues: [level], when: always, batch: [image, label], probability: 0.9}"
    parsed = parser.parse_args(["--callback=lightning_saliency.CueSwap", f"--callback.init_args={options}"])
    module = Witness()
    swap = parser.instantiate_classes(parsed).callback
    trainer([swap], max_epochs=1).fit(module, Batches({"image": IMAGES, "label": LABELS}))
    assert not torch.equal(module.trained[0]["image"], IMAGES)


class Faint(Many):
    """Has objects that are harder to see than the marks."""

    def train_dataloader(self):
        images, labels = pictures(120)
        inside = images[..., CORNER:, :]
        inside[:] = 0.5 + 0.3 * (inside - 0.5)
        return DataLoader(TensorDataset(images, labels), 30, shuffle=True)


class Learner(Classifier):
    def __init__(self):
        super().__init__(nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3)))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 3e-3)

    def validation_step(self, batch, batch_idx):
        pass


def accuracy_with_other_marks(callbacks):
    _, module = fit(callbacks, Learner, Faint(), max_epochs=25)
    images, labels = next(iter(DataLoader(Faint().train_dataloader().dataset, 120)))
    images[..., :CORNER, :CORNER] = images[..., :CORNER, :CORNER].roll(1, 0)
    return (module(images).argmax(dim=1) == labels).float().mean()


def test_a_network_learns_to_leave_a_shortcut():
    assert accuracy_with_other_marks([]) < 0.5
    assert accuracy_with_other_marks([CueSwap(["wide_frame"], when="always")]) > 0.9
