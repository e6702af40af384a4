"""The choice of images by several processes, which may have samplers or whole data sets of their own."""

import zlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, zip_longest
from typing import NamedTuple, TypeVar

import lightning.pytorch as pl

from lightning_saliency._random import private_random_state
from lightning_saliency.callbacks._distributed import send_to_first, tell_everyone
from lightning_saliency.callbacks._sharding import is_sharded, share_of
from lightning_saliency.callbacks._state import MonitorState
from lightning_saliency.monitor._choice import choose_indices
from lightning_saliency.monitor._compact import fingerprint
from lightning_saliency.monitor._samplers import is_distributed
from lightning_saliency.monitor.items import Reading, Source, read_items
from lightning_saliency.monitor.subset import Subset, choose_subset

Content = TypeVar("Content")


class _Data(NamedTuple):
    """A process's data set.

    Attributes:
        size: Number of its items.
        content: A number for its first and its last item; empty where these cannot be read, or need not be.
        num_visited: How many items its sampler holds.
        visited: A number for these items.
    """

    size: int
    content: tuple[int, ...]
    num_visited: int
    visited: int


def choose_together(trainer: pl.Trainer, state: MonitorState, source: Source) -> Subset:
    """Choose the images of all processes, which do so at the same time.

    Processes of one data set choose among all images that their samplers hold. Processes with data sets of their own
    share the number of images out as evenly as the data sets allow, and number images as if the data sets stood one
    after the other.
    """
    settings, indices = state.settings, source.indices
    if trainer.world_size > 1:
        everything = _gathered(None if indices is None else _data_of(source, indices, state), trainer)
        data = [one for one in everything if one is not None]
        if indices is not None and len(data) == len(everything) and len(set(data)) > 1:
            return _choose_among(trainer, state, source, indices, data)
    return choose_subset(
        source,
        settings.num_images,
        settings.seed,
        lambda indices: share_of(indices, trainer),
        is_even=is_sharded(trainer),
    )


def _choose_among(
    trainer: pl.Trainer, state: MonitorState, source: Source, indices: Sequence[int], data: Sequence[_Data]
) -> Subset:
    settings = state.settings
    if len({one[:2] for one in data}) == 1:
        state.warn(
            "own samplers",
            "The samplers of the processes hold different images of one data set. Watching images of all of them.",
        )
        union = sorted({index for part in _gathered(list(indices), trainer) for index in part})
        choice = choose_indices(source.dataset, union, settings.num_images, settings.seed)
        return Subset(source, choice, share_of(choice, trainer), is_even=is_sharded(trainer))
    rank = trainer.global_rank
    numbers = _shared_out(settings.num_images, [one.num_visited for one in data])
    state.warn(
        "own data",
        f"The processes have data sets of their own, of {_listed([one.size for one in data])} images. Watching "
        f"{_listed(numbers)} of them, numbered as if the data sets stood one after the other.",
    )
    offset = [0, *accumulate(one.size for one in data)][rank]
    share = [offset + index for index in choose_indices(source.dataset, indices, numbers[rank], settings.seed)]
    rows = zip_longest(*_gathered(share, trainer))
    choice = [index for row in rows for index in row if index is not None]
    is_even = is_sharded(trainer)
    padding = share[:1] * (max(numbers) - len(share)) if is_even else []
    return Subset(replace(source, offset=offset), choice, share + padding, is_even=is_even)


def _gathered(content: Content, trainer: pl.Trainer) -> list[Content]:
    return tell_everyone(send_to_first(content, trainer), trainer)


def _data_of(source: Source, indices: Sequence[int], state: MonitorState) -> _Data:
    size = len(source.dataset)
    # A distributed sampler says that there is one data set.
    content = () if is_distributed(source.loader) or not size else _content_of(source, size, state)
    return _Data(size, content, len(indices), zlib.crc32(repr(indices).encode()))


def _content_of(source: Source, size: int, state: MonitorState) -> tuple[int, ...]:
    reading = Reading(lambda batch: batch, state.settings.batch, 1, state.settings.seed)
    with private_random_state(state.settings.seed):
        batches = list(read_items(source, [0, size - 1], reading, lambda index, error: None))
    return tuple(fingerprint(image) for batch in batches for image in batch.images)


def _shared_out(number: int, sizes: Sequence[int]) -> list[int]:
    """Share a number out among processes as evenly as their sizes allow."""
    shares = [0] * len(sizes)
    for _ in range(min(number, sum(sizes))):
        room = [rank for rank, size in enumerate(sizes) if shares[rank] < size]
        shares[min(room, key=shares.__getitem__)] += 1
    return shares


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
