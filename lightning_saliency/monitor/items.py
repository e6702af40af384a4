"""Read items of a loader by their indices, as the user's loop reads them, and leave out those that cannot be read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from operator import getitem
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, get_worker_info

from lightning_saliency._checks import warn_once
from lightning_saliency._random import keyed_generator, private_random_state
from lightning_saliency.monitor._reach import reach_of
from lightning_saliency.monitor._samplers import indices_of
from lightning_saliency.monitor._untouched import untouched
from lightning_saliency.monitor.batches import BatchReader, LabelledImages, read_batch

Transfer: TypeAlias = Callable[[Any], Any]
LeaveOut: TypeAlias = Callable[[int, Exception], None]


@dataclass(frozen=True)
class Source:
    """The user's loader whose images are watched.

    Attributes:
        loader: The loader.
        dataloader_idx: Its position among the loaders of this evaluation.
        offset: Number of the first item, where the data sets of all processes are numbered one after the other.
        place: Keys that lead to the loader's part in a batch, where a batch holds one part from each loader.
        is_stream: Whether only the user's loop can read it, whatever its sampler.
    """

    loader: Any
    dataloader_idx: int = 0
    offset: int = 0
    place: tuple[Any, ...] = ()
    is_stream: bool = False

    @property
    def dataset(self) -> Any:
        """Its data set, if it has one."""
        return getattr(self.loader, "dataset", None)

    @cached_property
    def indices(self) -> Sequence[int] | None:
        """The items that can be read by index, `None` where only the loader itself can be read."""
        return None if self.is_stream else indices_of(self.loader)

    @property
    def size(self) -> int | None:
        """Number of items that can be read by index, `None` where only the loader itself can be read."""
        return None if self.indices is None else len(self.indices)

    def yields(self, batch_idx: int, dataloader_idx: int) -> bool:
        """Return whether a batch of the user's loop has new images of this loader."""
        if not self.place:
            return dataloader_idx == self.dataloader_idx
        try:
            return batch_idx < len(self.loader)  # a loader with fewer batches than others may begin anew
        except TypeError:
            return True

    def part_of(self, batch: Any) -> Any:
        """Return the loader's part of a batch of the user's loop, `None` where the loader had no more.

        It is the batch itself where a transfer hook has changed its structure, so that `batch` tells its parts.
        """
        part = batch
        for key in self.place:
            try:
                part = part[key]
            except (IndexError, KeyError, TypeError):
                return batch
        return part


@dataclass(frozen=True)
class Reading:
    """How items become labelled images on a device.

    Attributes:
        transfer: Moves a batch to the device, with the user's hooks.
        batch: How to get images, labels and masks from a batch.
        batch_size: Most images in one batch.
        seed: Seed of what transforms draw.
        owners: The objects whose hooks a batch goes through.
    """

    transfer: Transfer
    batch: BatchReader
    batch_size: int
    seed: int
    owners: tuple[Any, ...] = ()


def read_items(
    source: Source, indices: Sequence[int], reading: Reading, leave_out: LeaveOut
) -> Iterator[LabelledImages]:
    """Yield labelled images by their indices, transferred as the user's loop transfers its own.

    The user's collate function, worker initialisation and transfer hooks apply. With workers in the user's loader one
    worker loads here, too: a lazily opened file must not be shared with this process. Where items cannot be read
    together, because one raises, is dropped by the collate function or has another size, each is read by itself.

    Args:
        source: The loader.
        indices: The items.
        reading: How they are read.
        leave_out: Called with an item that cannot be read, and the reason.
    """
    size = reading.batch_size
    groups = [list(indices[start : start + size]) for start in range(0, len(indices), size)]
    batches = _read(source, groups, reading)
    for place, group in enumerate(groups):
        batch = next(batches)
        if isinstance(batch, LabelledImages):
            yield batch
            continue
        parts = [batch] if len(group) == 1 else list(_read(source, [[index] for index in group], reading))
        if not any(isinstance(part, LabelledImages) for part in parts):
            parts = [batch] * len(group)
        yield from _readable(group, parts, leave_out)
        if len(group) > 1 and all(isinstance(part, LabelledImages) for part in parts):
            # Items that cannot be collated, such as images of different sizes.
            rest = [index for later in groups[place + 1 :] for index in later]
            yield from _readable(rest, _read(source, [[index] for index in rest], reading), leave_out)
            return


def _readable(
    indices: Sequence[int], parts: Iterator[LabelledImages | Exception] | list[Any], leave_out: LeaveOut
) -> Iterator[LabelledImages]:
    for index, part in zip(indices, parts, strict=True):
        if isinstance(part, LabelledImages):
            yield part
        else:
            leave_out(index, part)


def _read(source: Source, groups: Sequence[Sequence[int]], reading: Reading) -> Iterator[LabelledImages | Exception]:
    """Yield for each group of items its images, or why they cannot be read."""
    loader = source.loader
    # Workers have copies of their own.
    reach = reach_of(reading.owners if loader.num_workers else (loader.dataset, loader.collate_fn, *reading.owners))
    _mention_streams(reach.streams)
    # The attributes of a data module; those of the network are restored with it.
    holders = [*reach.holders, *(vars(owner) for owner in reading.owners if not isinstance(owner, nn.Module))]
    items = iter(_loader_of(loader, [[index - source.offset for index in group] for group in groups], reading.seed))
    for group in groups:
        with untouched(holders):
            try:
                labelled: LabelledImages | Exception = _labelled(items, list(group), reading)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever an item does wrong, others may be right
                labelled = error
        yield labelled


def _mention_streams(streams: Sequence[str]) -> None:
    if streams:
        warn_once(
            f"The data set or its functions hold what is read only once: {', '.join(streams)}.  Reading the watched "
            "images advances it, so that training may differ. Make or open it for each item, or use workers."
        )


def _labelled(items: Iterator[Any], group: list[int], reading: Reading) -> LabelledImages:
    try:
        batch = next(items)
    except Exception as error:
        # Whatever its type, this is no fault of the monitor's arguments.
        raise RuntimeError(f"images {group} cannot be read: {_reason(error)}") from error
    if batch is None:
        raise RuntimeError(f"images {group} cannot be read: the collate function returned `None`")
    labelled = read_batch(reading.transfer(batch), reading.batch, group)
    if len(labelled.images) != len(group):
        raise ValueError(
            f"A batch must have one image for each item, but got {len(labelled.images)} for {len(group)}: "
            "pass `batch`, keys of images and labels or a function that returns them."
        )
    return labelled


def _reason(error: Exception) -> str:
    """Describe an error; workers send a traceback whose last line does so."""
    lines = str(error).strip().splitlines()
    is_of_worker = len(lines) > 1 and lines[0].startswith("Caught ")
    return lines[-1] if is_of_worker else f"{type(error).__name__}: {error}"


def _loader_of(loader: Any, groups: list[list[int]], seed: int) -> DataLoader[Any]:
    """Make a loader of the user's items in these groups."""
    workers = min(1, loader.num_workers)
    return DataLoader(
        _Seeded(loader.dataset, seed),
        batch_sampler=groups,
        collate_fn=loader.collate_fn,
        num_workers=workers,
        worker_init_fn=_WorkerInit(loader.worker_init_fn),
        multiprocessing_context=loader.multiprocessing_context if workers else None,
        generator=keyed_generator("loader", seed),
    )


class _WorkerInit:
    """Starts a worker as the user's loader does: the worker's data set is the user's."""

    def __init__(self, function: Callable[[int], Any] | None) -> None:
        self.function = function

    def __call__(self, worker: int) -> None:
        information: Any = get_worker_info()
        # The class itself forbids to set attributes.
        object.__setattr__(information, "dataset", information.dataset.dataset)
        if self.function is not None:
            self.function(worker)


class _Seeded(Dataset[Any]):
    """A data set whose items are the same whenever they are read, whatever random numbers its transforms draw."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __getitems__(self, indices: list[int]) -> Any:
        if not getattr(self.dataset, "__getitems__", None):
            return [self._read(partial(getitem, self.dataset), index, index) for index in indices]
        parts = [self._read(self.dataset.__getitems__, index, [index]) for index in indices]
        if all(isinstance(part, list | tuple) and len(part) == 1 for part in parts):
            return [part[0] for part in parts]
        # The data set makes whole batches.
        return self._read(self.dataset.__getitems__, indices[0], indices)

    def _read(self, function: Callable[[Any], Any], index: int, argument: Any) -> Any:
        with private_random_state(self.seed + index):
            return function(argument)
