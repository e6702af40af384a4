"""Data sets that read files and iterators from where they are: reading the watched images moves nothing."""

import bz2
import collections
import csv
import gzip
import io
import itertools
import lzma
import mmap
import os
import tarfile
import tempfile
import zipfile

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from tests.callbacks.test_read_once import monitor, split_data, validated_on
from tests.callbacks.training import Classifier, Data, Patterns, assert_identical, fit, trace

BYTES = bytes(range(256)) * 50
LINES = "\n".join(map(str, range(5_000)))


class Held(Patterns):
    """Reads one number for each item from something that it holds."""

    def __init__(self, held, number):
        super().__init__(48)
        self.held, self.number = held, number

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return image + 0.001 * float(self.number(self.held)), label


def assert_no_trace_in(make, number, make_collate=lambda: None):
    """Train with the monitor and without it, each on a data set of its own."""
    traces = []
    for callbacks in ([monitor(num_images=4, num_panels=0)], []):
        held = make()
        traces.append(trace(*fit(callbacks, Classifier, split_data(Held(held, number), make_collate()))))
        for one in held if isinstance(held, list) else [held]:
            getattr(one, "close", str)()
    assert_identical(*traces)


def archive(path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("member", BYTES)
    return zipfile.ZipFile(content).open("member")


def tape(path):
    content, member = io.BytesIO(), tarfile.TarInfo("member")
    member.size = len(BYTES)
    with tarfile.open(fileobj=content, mode="w") as file:
        file.addfile(member, io.BytesIO(BYTES))
    content.seek(0)
    return tarfile.open(fileobj=content).extractfile("member")


def compressed(module):
    def opened(path):
        path.write_bytes(module.compress(BYTES))
        return module.open(path)

    return opened


def plain(*arguments, **options):
    def opened(path):
        path.write_bytes(BYTES)
        return open(path, *arguments, **options)

    return opened


def mapped(path):
    with plain("rb")(path) as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def temporary(kind):
    def opened(path):
        file = kind()
        file.write(BYTES)
        file.seek(0)
        return file

    return opened


FILES = {
    "buffered": plain("rb"),
    "unbuffered": plain("rb", buffering=0),
    "read and written": plain("r+b"),
    "mapped": mapped,
    "in memory": lambda path: io.BytesIO(BYTES),
    "temporary": temporary(tempfile.NamedTemporaryFile),
    "spooled": temporary(tempfile.SpooledTemporaryFile),
    "gzip": compressed(gzip),
    "bz2": compressed(bz2),
    "lzma": compressed(lzma),
    "zip": archive,
    "tar": tape,
}
TEXTS = {
    "text": plain(encoding="latin1"),
    "text in memory": lambda path: io.StringIO(LINES),
    "compressed text": lambda path: io.TextIOWrapper(compressed(gzip)(path), encoding="latin1"),
}


@pytest.mark.parametrize("kind", [*FILES, *TEXTS])
def test_a_file_is_read_on_from_where_it_was(tmp_path, kind):
    opened = FILES.get(kind) or TEXTS[kind]
    paths = iter((tmp_path / "watched", tmp_path / "alone"))
    assert_no_trace_in(lambda: opened(next(paths)), lambda file: ord(file.read(1)))


@pytest.mark.parametrize("is_outer_first", [True, False])
def test_a_file_inside_of_another_one_keeps_its_place_in_step(tmp_path, is_outer_first):
    paths = iter((tmp_path / "watched", tmp_path / "alone"))

    def both():
        file = plain("rb", buffering=0)(next(paths))
        outer = io.BufferedReader(file, 64)
        return [outer, file] if is_outer_first else [file, outer]

    assert_no_trace_in(both, lambda files: files[0 if is_outer_first else 1].read(3)[0])


def test_the_method_of_a_file_leads_to_it():
    assert_no_trace_in(lambda: io.BytesIO(BYTES).read, lambda read: read(1)[0])


def piped():
    source, sink = os.pipe()
    os.write(sink, BYTES)
    os.close(sink)
    return os.fdopen(source, "rb")


STREAMS = {
    "a pipe": (piped, lambda file: file.read(1)[0], "BufferedReader"),
    "rows of a table": (lambda: csv.reader(LINES.splitlines()), lambda rows: next(rows)[0], "reader"),
    "numbers of an array": (lambda: np.arange(5_000).flat, next, "flatiter"),
    "a method": (lambda: itertools.count().__next__, lambda count: count(), "count.__next__"),
    "a count in a tuple": (lambda: (itertools.count(),), lambda counts: next(counts[0]), "count"),
    "an inner loader": (lambda: iter(DataLoader(range(5_000))), next, "_SingleProcessDataLoaderIter"),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_a_stream_that_cannot_be_set_back_is_mentioned(kind):
    make, number, name = STREAMS[kind]
    held = make()
    with pytest.warns(UserWarning, match=f"hold what is read only once: .*{name}"):
        fit([monitor()], Classifier, split_data(Held(held, number), None), max_epochs=1)
    getattr(held, "close", str)()


def test_lines_that_are_read_by_next_are_mentioned(tmp_path):
    (tmp_path / "lines").write_text(LINES)
    with (tmp_path / "lines").open() as file:
        data = split_data(Held(file, next), None)
        with pytest.warns(UserWarning, match="hold what is read only once: TextIOWrapper"):
            fit([monitor()], Classifier, data, max_epochs=1)


@pytest.mark.parametrize("name", ["written", "closed"])
def test_a_file_that_is_not_read_is_none_of_these(tmp_path, name):
    (tmp_path / "file").write_bytes(BYTES)
    with (tmp_path / "file").open("wb" if name == "written" else "rb") as file:
        if name == "closed":
            file.close()
        run, _ = fit([monitor()], data=validated_on(Held(file, lambda _: 0)), max_epochs=1)
    assert "saliency/gradient/rcap" in run.callback_metrics


class Table(dict):
    """A table of a user's class."""

    def clear(self):
        raise NotImplementedError


def shared_count():
    count = itertools.count()
    return [count, {"same": count}]


def both_counts(counts):
    return next(counts[0]) + 2 * next(counts[1]["same"])


def function_with_attributes():
    def function(*, box=[0]):  # noqa: B006 - a state in a default
        box[0] += 1
        function.calls = getattr(function, "calls", 0) + 1
        return box[0] + 2 * function.calls

    return function


def added(table):
    table["reads"] += 1
    return table["reads"]


def moved(table):
    table.move_to_end(next(iter(table)))
    return next(iter(table))


def increased(numbers):
    numbers[0] += 1
    return numbers[0]


STATES = {
    "one count held twice": (shared_count, both_counts),
    "an iterator of a deque": (lambda: iter(collections.deque(range(5_000))), next),
    "a reversed list": (lambda: reversed(list(range(500))), next),
    "attributes and defaults of a function": (function_with_attributes, lambda function: function()),
    "a table of a user's class": (lambda: Table(reads=0), added),
    "an order": (lambda: collections.OrderedDict.fromkeys(range(9)), moved),
    "bytes": (lambda: bytearray(1), increased),
    "a quasi-random sequence": (
        lambda: torch.quasirandom.SobolEngine(1, scramble=True, seed=0),
        lambda engine: engine.draw(1).item(),
    ),
}


@pytest.mark.parametrize("kind", STATES)
def test_training_is_bit_identical_whatever_the_state_is_held_by(kind):
    assert_no_trace_in(*STATES[kind])


class Counter:
    """Counts in its class, in a table of its module and in an iterator of it."""

    calls = 0
    table = {}  # noqa: RUF012 - what this test is about

    def __call__(self, items):
        type(self).calls += 1
        Counter.table["calls"] = Counter.table.get("calls", 0) + 1
        STATE["calls"] += 1
        number = self.calls + 2 * Counter.table["calls"] + 3 * STATE["calls"] + next(NUMBERS)
        images, labels = default_collate(items)
        return images + 0.001 * number, labels


STATE = {"calls": 0}
NUMBERS = itertools.count()


def test_training_is_bit_identical_where_state_is_kept_by_a_class_or_a_module():
    def fresh():
        global NUMBERS
        STATE["calls"], Counter.calls, NUMBERS = 0, 0, itertools.count()
        Counter.table.clear()
        return Counter()

    assert_no_trace_in(lambda: None, lambda _: 0, fresh)


class CountingData(Data):
    """A data module whose transfer hook counts."""

    def __init__(self):
        super().__init__()
        self.calls, self.levels = 0, [0]

    def on_after_batch_transfer(self, batch, dataloader_idx):
        self.calls += 1
        self.levels[0] += 1
        images, labels = batch
        return images + 0.01 * self.calls + 0.001 * self.levels[0], labels


def test_training_is_bit_identical_where_the_data_module_counts():
    assert_identical(
        trace(*fit([monitor()], Classifier, CountingData())),
        trace(*fit([], Classifier, CountingData())),
    )
