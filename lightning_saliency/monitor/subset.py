"""The images that are watched: chosen by seed, read once a run, kept on the CPU, shared out among processes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from lightning_saliency._random import keyed_generator, private_random_state
from lightning_saliency.monitor._choice import choose_indices
from lightning_saliency.monitor._untouched import holders_of, untouched
from lightning_saliency.monitor.batches import BatchReader, LabelledImages, read_batch

Transfer: TypeAlias = Callable[[Any], Any]
CPU: Final = torch.device("cpu")
IMAGES_IN_CHECK: Final = 2
NUM_HOSTS: Final = 32


@dataclass(frozen=True)
class Source:
    """The user's loader whose images are watched.

    Attributes:
        loader: The loader.
        dataloader_idx: Its position among the loaders of this evaluation.
    """

    loader: Any
    dataloader_idx: int = 0

    @property
    def dataset(self) -> Any:
        """Its data set, if it has one."""
        return getattr(self.loader, "dataset", None)

    @property
    def size(self) -> int | None:
        """Number of items that can be read by index, `None` where only the loader itself can be read."""
        loader = self.loader
        if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
            return None
        return len(loader.dataset) if loader.batch_sampler is not None and hasattr(loader.dataset, "__len__") else None


@dataclass(frozen=True)
class Reading:
    """How items become labelled images on a device.

    Attributes:
        transfer: Moves a batch to the device, with the user's hooks.
        batch: How to get images, labels and masks from a batch.
        batch_size: Most images in one batch.
        seed: Seed of what transforms draw.
    """

    transfer: Transfer
    batch: BatchReader
    batch_size: int
    seed: int


@dataclass
class Subset:
    """The watched images of one loader, as one process holds them.

    Attributes:
        source: The loader.
        indices: The images of all processes, in the order of their choice; of a stream those that are kept here.
        share: The images of this process.
        batches: Images on the CPU as they came out of the transfer hooks; empty until they are read.
        first: The first images of all processes, on the CPU; of a stream the first of this process.
        references: Other images that methods compare with, on the CPU by their number.
        pool: Other images into which cues are put, on the CPU.
        is_kept: Whether images stay in memory between evaluations.
    """

    source: Source
    indices: list[int] = field(default_factory=list)
    share: list[int] = field(default_factory=list)
    batches: list[LabelledImages] = field(default_factory=list)
    first: LabelledImages | None = None
    references: dict[int, Tensor] = field(default_factory=dict)
    pool: LabelledImages | None = None
    is_kept: bool = True

    def add(self, batch: LabelledImages) -> None:
        """Keep a batch of a stream."""
        self.batches.append(to_device(batch, CPU))
        self.indices += batch.indices
        self.share += batch.indices

    def watched(self, num_images: int) -> list[int]:
        """Return the first images, of which a budget may have left fewer than were chosen."""
        if self.source.size is None:  # of a stream every process numbers its own
            return [index for index in self.indices if index < num_images]
        return self.indices[:num_images]

    @property
    def num_bytes(self) -> int:
        """Memory that the images take."""
        return sum(batch.images.numel() * batch.images.element_size() for batch in self.batches)

    def read(self, reading: Reading, max_kept_bytes: int) -> None:
        """Read this process's share, unless it is in memory or does not fit."""
        if self.batches or not self.is_kept or self.source.size is None:
            return
        batches = []
        for batch in read_items(self.source, self.share, reading):
            batches.append(to_device(batch, CPU))
            size = batch.images.numel() * batch.images.element_size() // max(len(batch.indices), 1)
            if size * len(self.share) > max_kept_bytes:
                self.is_kept = False
                return
        self.batches = batches

    def images(self, indices: Sequence[int], reading: Reading, device: torch.device) -> Iterator[LabelledImages]:
        """Yield some of this process's images on a device, from memory or anew."""
        selection = set(indices)
        if self.source.size is not None and not (self.batches and selection <= set(self.share)):
            yield from read_items(self.source, indices, reading)
            return
        waiting: list[LabelledImages] = []
        for batch in self.batches:
            rows = [row for row, index in enumerate(batch.indices) if index in selection]
            for row in rows:
                image = take(batch, [row])
                if waiting and (len(waiting) == reading.batch_size or not _go_together(waiting[0], image)):
                    yield to_device(join(waiting), device)
                    waiting = []
                waiting.append(image)
        if waiting:
            yield to_device(join(waiting), device)

    def first_images(self, reading: Reading, device: torch.device) -> LabelledImages | None:
        """Return the first images, the same on every process, to check a set-up; `None` if there are none."""
        if self.first is None:
            batch = next(self.images(self.indices[:IMAGES_IN_CHECK], reading, device), None)
            self.first = None if batch is None else to_device(batch, CPU)
        return None if self.first is None else to_device(self.first, device)

    def reference_images(self, number: int, reading: Reading, device: torch.device) -> Tensor:
        """Return other images than those watched, where there are enough, the same on every process."""
        if number not in self.references:
            self.references[number] = self._read_references(number, reading).cpu()
        return self.references[number].to(device)

    def hosts(self, reading: Reading, device: torch.device) -> LabelledImages:
        """Return other images than those watched, where there are enough, with labels, the same on every process.

        Of a stream they are the first images of this process.
        """
        if self.pool is None:
            self.pool = to_device(self._read_hosts(reading), CPU)
        return to_device(self.pool, device)

    def _read_hosts(self, reading: Reading) -> LabelledImages:
        if self.source.size is None:
            images = [take(batch, [row]) for batch in self.batches for row in range(len(batch.indices))]
            return join([image for image in images if _go_together(images[0], image)][:NUM_HOSTS])
        watched = set(self.indices)
        order = choose_indices(self.source.dataset, self.source.size, self.source.size, reading.seed + 1)
        others = [index for index in order if index not in watched]
        batches = list(read_items(self.source, [*others, *self.indices][:NUM_HOSTS], reading))
        return join([batch for batch in batches if _go_together(batches[0], batch)])

    def _read_references(self, number: int, reading: Reading) -> Tensor:
        if self.source.size is None:
            return torch.cat([batch.images for batch in self.batches])[:number]
        order = torch.randperm(self.source.size, generator=keyed_generator("references", reading.seed)).tolist()
        watched = set(self.indices)
        candidates = [index for index in order if index not in watched] or order
        return torch.cat([batch.images for batch in read_items(self.source, candidates[:number], reading)])


def choose_subset(source: Source, num_images: int, seed: int, share: Callable[[list[int]], list[int]]) -> Subset:
    """Choose the images of a loader; of a stream they are added as they come.

    Args:
        source: The loader.
        num_images: How many.
        seed: Seed of the choice.
        share: Picks this process's images.
    """
    if source.size is None:
        return Subset(source)
    indices = choose_indices(source.dataset, source.size, num_images, seed)
    return Subset(source, indices, share(indices))


def read_items(source: Source, indices: Sequence[int], reading: Reading) -> Iterator[LabelledImages]:
    """Yield labelled images by their indices, transferred as the user's loop transfers its own.

    The user's collate function, worker initialisation and transfer hooks apply. With workers in the user's loader one
    worker loads here, too: a lazily opened file must not be shared with this process.

    Raises:
        RuntimeError: If the data set raises.
    """
    size = reading.batch_size
    groups = [list(indices[start : start + size]) for start in range(0, len(indices), size)]
    loader = source.loader
    # Workers have copies of their own.
    holders = [] if loader.num_workers else holders_of((loader.dataset, loader.collate_fn))
    items = _load(loader, groups, reading.seed)
    for group in groups:
        with untouched(holders):
            try:
                batch = next(items)
            except Exception as error:
                # Whatever its type, this is no fault of the monitor's arguments.
                raise RuntimeError(f"images {group} cannot be read: {type(error).__name__}: {error}") from error
        yield read_batch(reading.transfer(batch), reading.batch, group)


def take(batch: LabelledImages, rows: Sequence[int]) -> LabelledImages:
    """Return some rows of a batch, as copies."""
    places = torch.tensor(list(rows), device=batch.images.device, dtype=torch.int64)
    indices = [batch.indices[row] for row in rows]
    labels, masks = (None if part is None else part[places] for part in (batch.labels, batch.masks))
    return LabelledImages(indices, batch.images[places], labels, masks)


def join(batches: Sequence[LabelledImages]) -> LabelledImages:
    """Return the rows of batches of equal shapes as one batch."""
    return LabelledImages(
        [index for batch in batches for index in batch.indices],
        torch.cat([batch.images for batch in batches]),
        _joined([batch.labels for batch in batches]),
        _joined([batch.masks for batch in batches]),
    )


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    tensors = [part for part in parts if part is not None]
    return torch.cat(tensors) if tensors else None


def _go_together(first: LabelledImages, second: LabelledImages) -> bool:
    """Tell whether rows can stand in one batch."""
    return all(
        (one is None) == (other is None) and (one is None or other is None or one.shape[1:] == other.shape[1:])
        for one, other in zip(first[1:], second[1:], strict=True)
    )


def to_device(batch: LabelledImages, device: torch.device) -> LabelledImages:
    """Move a batch."""
    labels, masks = (None if part is None else part.to(device) for part in (batch.labels, batch.masks))
    return LabelledImages(batch.indices, batch.images.to(device), labels, masks)


def _load(loader: Any, groups: list[list[int]], seed: int) -> Iterator[Any]:
    workers = min(1, loader.num_workers)
    yield from DataLoader(
        _Seeded(loader.dataset, seed),
        batch_sampler=groups,
        collate_fn=loader.collate_fn,
        num_workers=workers,
        worker_init_fn=None if loader.worker_init_fn is None else _WorkerInit(loader.worker_init_fn),
        multiprocessing_context=loader.multiprocessing_context if workers else None,
        generator=keyed_generator("loader", seed),
    )


class _WorkerInit:
    """Starts a worker as the user's loader does: the worker's data set is the user's."""

    def __init__(self, function: Callable[[int], Any]) -> None:
        self.function = function

    def __call__(self, worker: int) -> None:
        information: Any = get_worker_info()
        seeded = information.dataset
        # The class itself forbids to set attributes.
        object.__setattr__(information, "dataset", seeded.dataset)
        self.function(worker)
        seeded.dataset = information.dataset
        object.__setattr__(information, "dataset", seeded)


class _Seeded(Dataset[Any]):
    """A data set whose items are the same whenever they are read, whatever random numbers its transforms draw."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __getitem__(self, index: int) -> Any:
        with private_random_state(self.seed + index):
            return self.dataset[index]
