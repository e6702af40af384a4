"""The watched images are read once a run, and reading them leaves no trace in the user's data set."""

import gc
import itertools
import os
import queue
import random
from collections import Counter, defaultdict, deque
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import ClassVar

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, default_collate, get_worker_info, random_split

from lightning_saliency import SaliencyMonitor
from lightning_saliency.methods import ExpectedGradients, Gradient
from tests.callbacks.training import MEAN, STD, Classifier, Data, Patterns, assert_identical, fit, trace, trainer


def monitor(methods=None, **options):
    return SaliencyMonitor(methods or [Gradient()], **{"num_images": 6, "mean": MEAN, "std": STD, **options}, cues=())


class Counting(Patterns):
    """Counts its reads in what the monitor does not restore."""

    reads: ClassVar = queue.Queue()

    def __getitem__(self, index):
        Counting.reads.put(index)
        return super().__getitem__(index)


def validated_on(dataset, **options):
    data = Data()
    data.val_dataloader = lambda: DataLoader(dataset, 8, **options)
    return data


def reads_of(watcher, **options):
    """Count the reads of each image beside those of Lightning's loop, which reads the first one only."""
    Counting.reads = queue.Queue()
    fit([watcher], data=validated_on(Counting(18)), limit_val_batches=1, num_sanity_val_steps=0, **options)
    return {index: count for index, count in Counter(Counting.reads.queue).items() if index >= 8}


def test_images_are_read_once_a_run():
    reads = reads_of(monitor(num_images=18), max_epochs=3)
    assert reads == dict.fromkeys(range(8, 18), 1)


def test_references_are_read_once_a_run_too():
    once = reads_of(monitor([ExpectedGradients(references=4, num_samples=2)]), max_epochs=1)
    assert once == reads_of(monitor([ExpectedGradients(references=4, num_samples=2)]), max_epochs=3)


def test_images_that_do_not_fit_are_read_anew_and_have_the_same_scores():
    reads = reads_of(monitor(num_images=18, max_kept_bytes=100), max_epochs=3)
    assert min(reads.values()) >= 3
    kept, _ = fit([monitor()])
    anew, _ = fit([monitor(max_kept_bytes=100)])
    name = "saliency/gradient/rcap"
    assert anew.callback_metrics[name] == kept.callback_metrics[name]
    assert anew.callback_metrics["saliency/gradient/drift_spearman"] == pytest.approx(
        kept.callback_metrics["saliency/gradient/drift_spearman"]
    )


def test_a_loader_that_is_made_anew_keeps_the_images_and_that_is_said():
    with pytest.warns(UserWarning, match="keeps the images"):
        fit([monitor()], reload_dataloaders_every_n_epochs=1, max_epochs=2)


class Drawing(Patterns):
    """Augments with generators that it holds itself."""

    def __init__(self, size):
        super().__init__(size)
        self.torch = torch.Generator().manual_seed(1)
        self.numpy = np.random.default_rng(2)
        self.old = np.random.RandomState(3)
        self.python = random.Random(4)

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        noise = torch.rand((), generator=self.torch) + self.numpy.random() + self.old.rand() + self.python.random()
        return (image + 0.1 * noise).float(), label


class Uncopyable(Drawing):
    def __deepcopy__(self, memo):
        raise TypeError("not to be copied")


class CountingCollate:
    """A collate function with a state that its batches depend on."""

    def __init__(self):
        self.calls = 0

    def __call__(self, items):
        self.calls += 1
        images, labels = default_collate(items)
        return images + 0.01 * self.calls, labels


GENERATOR = np.random.default_rng(5)


def jitter(items):
    images, labels = default_collate(items)
    return images + 0.1 * float(GENERATOR.random()), labels


calls = 0


def global_number(items):
    global calls  # noqa: PLW0603 - as scripts do
    calls += 1
    images, labels = default_collate(items)
    return images + 0.01 * calls, labels


def enclosed_number():
    calls = 0

    def collate(items):
        nonlocal calls
        calls += 1
        images, labels = default_collate(items)
        return images + 0.01 * calls, labels

    return collate


def enclosed_iterator():
    levels = iter(range(1000))

    def collate(items):
        images, labels = default_collate(items)
        return images + 0.01 * next(levels), labels

    return collate


def collate_of(kind):
    """Make a collate function whose state is that of a new process."""
    global calls  # noqa: PLW0603
    calls = 0
    GENERATOR.bit_generator.state = np.random.default_rng(5).bit_generator.state
    made = {"stateful": CountingCollate, "enclosed number": enclosed_number, "enclosed iterator": enclosed_iterator}
    return made[kind]() if kind in made else {"plain": None, "global number": global_number}.get(kind, jitter)


def split_data(dataset, collate_fn):
    """Train and validate on two parts of one data set, as `random_split` makes them."""
    train, val = random_split(dataset, [30, 18], torch.Generator().manual_seed(0))
    data = Data()
    data.train_dataloader = lambda: DataLoader(train, 8, shuffle=True, collate_fn=collate_fn)
    data.val_dataloader = lambda: DataLoader(val, 8, collate_fn=collate_fn)
    return data


# Nothing can be done for a function with a state beside a data set that cannot be copied.
@pytest.mark.parametrize(
    ("kind", "collate"),
    [
        (Drawing, "plain"),
        (Drawing, "stateful"),
        (Drawing, "enclosed number"),
        (Drawing, "enclosed iterator"),
        (Drawing, "global number"),
        (Drawing, "global generator"),
        (Uncopyable, "plain"),
        (Uncopyable, "global generator"),
    ],
)
def test_training_is_bit_identical_where_the_data_set_draws_from_generators_of_its_own(kind, collate):
    traces = []
    for callbacks in ([monitor([ExpectedGradients(references=4, num_samples=2)])], []):
        traces.append(trace(*fit(callbacks, Classifier, split_data(kind(48), collate_of(collate)))))
    assert_identical(*traces)


class Remembering(Patterns):
    """Keeps a state of every kind, on which its items depend."""

    def __init__(self, kind):
        super().__init__(48)
        self.kind = kind
        self.state = {
            "dictionary": {"reads": 0},
            "default dictionary": defaultdict(int),
            "counter": Counter(),
            "list": [0],
            "deque": deque([0], maxlen=3),
            "set": set(),
            "tensor": torch.zeros(1),
            "array": np.zeros(1),
            "count": itertools.count(),
            "cycle": itertools.cycle(range(7)),
            "iterator of a list": iter([float(level) for level in range(1000)]),
            "iterator of a range": iter(range(1000)),
            "nested": {"inside": [SimpleNamespace(reads=0)]},
            "seldom": np.random.default_rng(3),
        }[kind]

    def level(self):
        """Change the state, and return a number that it had."""
        state = self.state
        if isinstance(state, dict) and self.kind != "nested":
            state["reads"] += 1
        elif isinstance(state, list | deque):
            state.append(state[-1] + 1)
        elif isinstance(state, set):
            state.add(len(state))
        elif isinstance(state, torch.Tensor | np.ndarray):
            state += 1
        elif self.kind == "nested":
            state["inside"][0].reads += 1
        return self.number_of(state)

    def number_of(self, state):
        if self.kind == "nested":
            return state["inside"][0].reads
        if isinstance(state, dict):
            return state["reads"]
        if isinstance(state, set):
            return len(state)
        if isinstance(state, np.random.Generator):
            return state.random()
        return next(state) if hasattr(state, "__next__") else float(state[-1])

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return image + 0.001 * self.level(), label


STATES = [
    *("dictionary", "default dictionary", "counter", "list", "deque", "set"),
    *("tensor", "array", "count", "cycle", "iterator of a list", "iterator of a range", "nested", "seldom"),
]


ANEW = {"max_kept_bytes": 100}


@pytest.mark.parametrize(
    ("kind", "options"), [*((kind, {}) for kind in STATES), ("counter", ANEW), ("count", ANEW), ("seldom", ANEW)]
)
def test_training_is_bit_identical_whatever_state_the_data_set_changes_in_place(kind, options):
    watched = trace(*fit([monitor(**options)], Classifier, split_data(Remembering(kind), None)))
    assert_identical(watched, trace(*fit([], Classifier, split_data(Remembering(kind), None))))


class Caching(Patterns):
    """Keeps the images that were read last, in a table that belongs to code in C."""

    def __init__(self):
        super().__init__(48)
        self.load = lru_cache(maxsize=4)(super().__getitem__)

    def __getitem__(self, index):
        return self.load(index)


@pytest.mark.parametrize("kept", [0, 3])
def test_a_cache_of_the_data_set_stays_in_order(kept):
    source = Caching()
    for index in range(kept):
        source[index]
    assert_identical(
        trace(*fit([monitor()], Classifier, split_data(source, None))),
        trace(*fit([], Classifier, split_data(Caching(), None))),
    )
    gc.collect()
    for index in range(48):
        assert torch.equal(source[index][0], Patterns(48)[index][0])
        misses = source.load.cache_info().misses
        source[index]
        assert source.load.cache_info().misses == misses
    assert source.load.cache_info().currsize == 4


class Slotted:
    """Counts in two slots."""

    __slots__ = ("last", "reads")

    def __init__(self):
        self.reads = [0]


class Indirect(Patterns):
    """Counts in a list that a slot, a partial function or an iterator of a C type leads to."""

    def __init__(self, kind):
        super().__init__(48)
        self.slotted = Slotted()
        reads = self.slotted.reads
        self.count = partial(self.add, reads)
        self.kind = kind
        if kind == "partial":
            del self.slotted

    @staticmethod
    def add(reads):
        reads.append(reads[-1] + 1)
        return reads[-1]

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        if self.kind == "slot of a number":
            count = self.slotted.last = getattr(self.slotted, "last", 0) + 1
        else:
            count = self.count() if self.kind == "partial" else self.add(self.slotted.reads)
        return image + 0.001 * count, label


@pytest.mark.parametrize("kind", ["slot", "slot of a number", "partial"])
def test_training_is_bit_identical_with_a_state_that_is_reached_by_detours(kind):
    watched = trace(*fit([monitor()], Classifier, split_data(Indirect(kind), None)))
    assert_identical(watched, trace(*fit([], Classifier, split_data(Indirect(kind), None))))


class Transferring(Classifier):
    """Draws from a generator of its own in a transfer hook."""

    def __init__(self):
        super().__init__()
        self.noise = torch.Generator().manual_seed(7)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        images, labels = batch
        return images + 0.01 * torch.rand((), generator=self.noise), labels


def test_training_is_bit_identical_where_a_transfer_hook_draws():
    data = split_data(Patterns(48), None)
    plain = {"train_dataloaders": data.train_dataloader, "val_dataloaders": data.val_dataloader}
    traces = []
    for callbacks in ([monitor()], []):
        pl.seed_everything(1, verbose=False)
        module, run = Transferring(), trainer(callbacks)
        run.fit(module, plain["train_dataloaders"](), plain["val_dataloaders"]())
        traces.append(trace(run, module))
    assert_identical(*traces)


def forever():
    level = 0
    while True:
        level += 1
        yield level


class Running(Patterns):
    """Holds an iterator, which nothing can set back."""

    def __init__(self, levels):
        super().__init__(48)
        self.levels = levels

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return image + 0.001 * next(self.levels), label


@pytest.mark.parametrize(("levels", "name"), [(forever(), "forever"), (map(float, range(1000)), "map")])
def test_a_state_that_cannot_be_set_back_is_mentioned(levels, name):
    with pytest.warns(UserWarning, match=f"hold what is read only once: {name}"):
        fit([monitor()], Classifier, split_data(Running(levels), None), max_epochs=1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_training_is_bit_identical_with_albumentations():
    albumentations = pytest.importorskip("albumentations")

    class Augmented(Patterns):
        def __init__(self):
            super().__init__(48)
            self.transform = albumentations.Compose(
                [albumentations.HorizontalFlip(p=0.5), albumentations.GaussNoise(p=1.0)], seed=3
            )

        def __getitem__(self, index):
            image, label = super().__getitem__(index)
            array = image.permute(1, 2, 0).numpy()
            return torch.from_numpy(self.transform(image=array)["image"].copy()).permute(2, 0, 1).float(), label

    watched = trace(*fit([monitor()], Classifier, split_data(Augmented(), None)))
    assert_identical(watched, trace(*fit([], Classifier, split_data(Augmented(), None))))


class Closing(Patterns):
    """Closes its file when it is collected."""

    def __init__(self, size):
        super().__init__(size)
        self.file = os.open(os.devnull, os.O_RDONLY)

    def __getitem__(self, index):
        os.fstat(self.file)
        return super().__getitem__(index)

    def __del__(self):
        os.close(self.file)


def test_files_of_the_data_set_stay_open():
    run, _ = fit([monitor()], data=validated_on(Closing(18)), max_epochs=2)
    assert "saliency/gradient/rcap" in run.callback_metrics


class OfTheSystem(Patterns):
    """Holds a generator that has no state."""

    def __init__(self, size):
        super().__init__(size)
        self.generator = random.SystemRandom()


def test_a_generator_without_a_state_does_no_harm():
    run, _ = fit([monitor()], data=validated_on(OfTheSystem(18)), max_epochs=1)
    assert "saliency/gradient/rcap" in run.callback_metrics


class Global(Patterns):
    """Draws from a generator of its module."""

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return image + 0.1 * float(GENERATOR.random()), label


def test_a_generator_of_the_data_sets_module_is_restored():
    traces = []
    for callbacks in ([monitor()], []):
        GENERATOR.bit_generator.state = np.random.default_rng(5).bit_generator.state
        traces.append(trace(*fit(callbacks, Classifier, split_data(Global(48), None))))
    assert_identical(*traces)


class Opened(Patterns):
    """Can be read only in a worker that has opened it."""

    def __init__(self, size):
        super().__init__(size)
        self.is_open = False

    def __getitem__(self, index):
        if not self.is_open:
            raise RuntimeError("closed")
        return super().__getitem__(index)


def open_in_worker(worker):
    get_worker_info().dataset.is_open = True


def test_workers_start_as_those_of_the_users_loader():
    data = validated_on(Opened(18), num_workers=1, worker_init_fn=open_in_worker)
    run, _ = fit([monitor()], data=data, max_epochs=1)
    assert "saliency/gradient/rcap" in run.callback_metrics
