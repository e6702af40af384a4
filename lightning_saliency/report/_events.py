"""The entries of a run's event files, as they are read one by one."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import Any, Final, TypeVar

import numpy as np
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.scalar import metadata as scalars

from lightning_saliency.names import alarm_name, card_name, decisions_name
from lightning_saliency.report._files import open_plain
from lightning_saliency.report._limits import (
    LONGEST_TAG,
    LONGEST_TEXT,
    MOST_DECISIONS,
    MOST_PICTURES,
    MOST_PIXELS,
    MOST_TAGS,
    MOST_TEXT,
    MOST_VALUES,
    LeftOut,
    shortened,
)
from lightning_saliency.report._log import Picture
from lightning_saliency.report._records import DamagedFileError, Record, read_records

Entry = TypeVar("Entry")
TEXT: Final = "/text_summary"
TEXTS: Final = (card_name(""), alarm_name(""), decisions_name(""))
# What a series is thinned to if there are very many values, and Lightning's counter, which others need.
FEWEST: Final = 100
EPOCH: Final = "epoch"
# The first bytes of every PNG, with its width and height.
PNG: Final = Struct(">8s4x4sII")
PNG_MARKS: Final = (b"\x89PNG\r\n\x1a\n", b"IHDR")
# Fields and element types of the tensors that hold a number (TensorBoard's `types.proto`).
NUMBERS: Final = {1: ("float_val", "<f4"), 2: ("double_val", "<f8"), 3: ("int_val", "<i4"), 9: ("int64_val", "<i8")}


class Events:
    """Collects entries by tag and step; of a step the last entry counts.

    Attributes:
        scalars: Values.
        pictures: Where pictures are.
        texts: Texts of monitors and gates.
        settings: The hyper-parameters that the hparams plugin holds, encoded.
        left_out: Counts what is not here.
        faults: Sentences on files that could not be read to their end.
    """

    def __init__(self) -> None:
        self.scalars: dict[str, dict[int, float]] = {}
        self.pictures: dict[str, dict[int, Picture]] = {}
        self.texts: dict[str, dict[int, str]] = {}
        self.settings = b""
        self._first = math.inf
        self.left_out = LeftOut()
        self.faults: list[str] = []
        self._plugins: dict[str, str] = {}
        self._num_values = 0
        self._num_pictures = 0
        self._num_characters = 0

    @property
    def first(self) -> float | None:
        """When the first scalar was written, in seconds since 1970."""
        return self._first if math.isfinite(self._first) else None

    def read(self, path: Path, advance: Callable[[int], object]) -> None:
        """Read a file to its end, or up to the damage that ends it.

        Args:
            path: An event file.
            advance: Is called with the numbers of bytes that were read.
        """
        try:
            with open_plain(path, path.parent) as file:
                for record in read_records(file, os.fstat(file.fileno()).st_size, self.left_out, advance):
                    self._add_record(path, record)
        except DamagedFileError as error:
            self.faults.append(f"`{path.name}` {error}.")
        except OSError as error:
            self.faults.append(f"{error.strerror or error}: `{path.name}`." if error.errno else f"{error}.")

    def _add_record(self, path: Path, record: Record) -> None:
        event = Event()
        try:
            event.ParseFromString(record[1])
        except DecodeError:
            self.left_out.add("records that are no events")
            return
        kind = event.WhichOneof("what")
        if kind == "session_log" and event.session_log.status == SessionLog.START:
            self._purge(event.step)
        for value in event.summary.value if kind == "summary" else ():
            self._add(path, record, event, value)

    def _add(self, path: Path, record: Record, event: Any, value: Any) -> None:
        kind, tag = value.WhichOneof("value"), value.tag
        if len(tag) > LONGEST_TAG:
            self.left_out.add(f"entries whose name has more than {LONGEST_TAG} characters")
        elif kind == "simple_value":
            self._add_scalar(event, tag, value.simple_value)
        elif tag == hparams.SESSION_START_INFO_TAG:
            self.settings = value.metadata.plugin_data.content
        elif kind == "image":
            self._add_picture(path, record, event.step, value)
        elif kind == "tensor":
            self._add_tensor(event, value)

    def _add_tensor(self, event: Any, value: Any) -> None:
        # Writers may name the plugin with the first value of a tag only.
        plugin = value.metadata.plugin_data.plugin_name
        if plugin and (value.tag in self._plugins or len(self._plugins) < MOST_TAGS):
            self._plugins[value.tag] = plugin
        if self._plugins.get(value.tag) == scalars.PLUGIN_NAME:
            number = _number_of(value.tensor)
            if number is None:
                self.left_out.add("scalars that are no numbers")
            else:
                self._add_scalar(event, value.tag, number)
        elif value.tag.endswith(tuple(f"{name}{TEXT}" for name in TEXTS)):
            self._add_text(event.step, value.tag.removesuffix(TEXT), value.tensor)

    def _add_scalar(self, event: Any, tag: str, value: float) -> None:
        values = self.scalars.get(tag) or self._series(self.scalars, tag)
        if values is None:
            return
        step, seconds = event.step, event.wall_time
        self._num_values += step not in values
        values[step] = value
        self._first = min(self._first, seconds)
        if self._num_values > MOST_VALUES:
            self._thin()

    def _add_text(self, step: int, tag: str, tensor: Any) -> None:
        text = b"\n\n".join(tensor.string_val).decode("utf-8", errors="replace")
        self._num_characters += min(len(text), LONGEST_TEXT)
        texts = self._series(self.texts, tag)
        if self._num_characters > MOST_TEXT:
            self.left_out.add("texts, since all texts of a run are too long")
        elif texts is not None:
            texts[step] = shortened(text, LONGEST_TEXT)
            if len(texts) > MOST_DECISIONS:
                del texts[min(texts)]

    def _add_picture(self, path: Path, record: Record, step: int, value: Any) -> None:
        encoded, (place, content) = value.image.encoded_image_string, record
        pictures = self._series(self.pictures, value.tag)
        pixels = _pixels_of(encoded)
        if not 0 < pixels <= MOST_PIXELS:
            self.left_out.add(f"pictures that are no PNG of at most {MOST_PIXELS:,} pixels")
        elif self._num_pictures >= MOST_PICTURES:
            self.left_out.add(f"pictures, since a run has more than {MOST_PICTURES:,}")
        elif pictures is not None:
            self._num_pictures += 1
            pictures[step] = Picture(path, place + content.find(encoded), len(encoded), pixels)

    def _series(self, tags: dict[str, dict[int, Entry]], tag: str) -> dict[int, Entry] | None:
        """Return the entries of a tag, unless there are too many tags."""
        if tag not in tags and len(tags) >= MOST_TAGS:
            self.left_out.add(f"entries, since a run has more than {MOST_TAGS:,} names")
            return None
        return tags.setdefault(tag, {})

    def _thin(self) -> None:
        """Drop every second value of long series, while there are too many values; the last one stays."""
        for tag in sorted(self.scalars, key=lambda tag: (tag == EPOCH, -len(self.scalars[tag]))):
            values = self.scalars[tag]
            if self._num_values > MOST_VALUES * 3 // 4 and len(values) > FEWEST:
                dropped = list(values)[-2::-2]
                for step in dropped:
                    del values[step]
                self._num_values -= len(dropped)
                self.left_out.add("values between others, since there are very many", len(dropped))

    def _purge(self, first: int) -> None:
        """Forget what a run wrote before it was restarted from an earlier step."""
        for series in (*self.scalars.values(), *self.pictures.values(), *self.texts.values()):
            entries: dict[int, Any] = series  # type: ignore[assignment]
            for step in [step for step in entries if step >= first]:
                del entries[step]
        self._num_values = sum(map(len, self.scalars.values()))


def _number_of(tensor: Any) -> float | None:
    """Return the value of a tensor with one element, whatever its shape claims."""
    field, kind = NUMBERS.get(tensor.dtype, ("", ""))
    if not field:
        return None
    values = getattr(tensor, field)
    if len(values) == 1:
        return float(values[0])
    is_one = len(tensor.tensor_content) == np.dtype(kind).itemsize
    return float(np.frombuffer(tensor.tensor_content, kind)[0]) if is_one else None


def _pixels_of(encoded: bytes) -> int:
    """Return the number of pixels that a PNG claims to have, 0 for anything else."""
    if len(encoded) < PNG.size:
        return 0
    *marks, width, height = PNG.unpack_from(encoded)
    return int(width * height) if tuple(marks) == PNG_MARKS else 0
