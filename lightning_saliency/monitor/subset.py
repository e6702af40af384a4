"""The images that are watched: chosen by seed, read once a run, kept on the CPU, shared out among processes."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor

from lightning_saliency.monitor._choice import choose_indices
from lightning_saliency.monitor.batches import BatchReader, LabelledImages, number_images
from lightning_saliency.monitor.items import Reading, Source, Transfer, read_items

CPU: Final = torch.device("cpu")
IMAGES_IN_CHECK: Final = 2
NUM_HOSTS: Final = 32
# So many images are tried where the first ones cannot be read.
MOST_TRIED: Final = 16
LONGEST_REASON: Final = 200


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
        is_even: Whether all processes must have equally many images, of one size.
        left_out: Why images are left out, by index.
        error: The first reason for which an image was left out.
    """

    source: Source
    indices: list[int] = field(default_factory=list)
    share: list[int] = field(default_factory=list)
    batches: list[LabelledImages] = field(default_factory=list)
    first: LabelledImages | None = None
    references: dict[int, LabelledImages] = field(default_factory=dict)
    pool: LabelledImages | None = None
    is_kept: bool = True
    is_even: bool = False
    left_out: dict[int, str] = field(default_factory=dict)
    error: Exception | None = None

    def collect(
        self, batch: Any, reader: BatchReader, numbers: Iterator[int], most: int, transfer: Transfer | None = None
    ) -> None:
        """Keep the first images of a batch of a stream; a batch that cannot be read is left out.

        Args:
            batch: A batch of the user's loop.
            reader: How to get images, labels and masks from a batch.
            numbers: Numbers for the images.
            most: How many images are still to be kept.
            transfer: Moves the batch to the device, where the user's loop has not done so.
        """
        try:
            part = self.source.part_of(batch if transfer is None else transfer(batch))
            labelled = [] if part is None else [number_images(part, reader, numbers, most)]
        except Exception as error:  # noqa: BLE001 - whatever a batch does wrong, others may be right
            self.leave_out(next(numbers), error)
            return
        for finite in self._finite(labelled):
            self.batches.append(to_device(finite, CPU))
            self.indices += finite.indices
            self.share += finite.indices

    def leave_out(self, index: int, error: Exception) -> None:
        """Note that an image is left out, and why."""
        self.error = self.error or error
        self.left_out[index] = " ".join(str(error).split()).rstrip(".")[:LONGEST_REASON]

    def left_out_of(self, indices: Sequence[int]) -> dict[int, str]:
        """Return which images of this process are left out, and why; of a stream all that were."""
        if self.source.size is None:
            return dict(self.left_out)
        selection = set(indices) & set(self.share)
        return {index: reason for index, reason in self.left_out.items() if index in selection}

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
        """Read this process's share, unless it is in memory or does not fit.

        Raises:
            ValueError: If all processes must have equally many images of one size, and images have several.
        """
        if self.batches or not self.is_kept or self.source.size is None:
            return
        for batch in self._items(self.share, reading):
            self.batches.append(to_device(batch, CPU))
            num_read = sum(len(kept.indices) for kept in self.batches)
            if self.num_bytes // num_read * len(self.share) > max_kept_bytes:
                self.is_kept, self.batches = False, []
                return
        if self.is_even:
            self._even_out()

    def images(self, indices: Sequence[int], reading: Reading, device: torch.device) -> Iterator[LabelledImages]:
        """Yield some of this process's images on a device, from memory or anew, in batches of equal sizes."""
        selection = set(indices)
        if self.source.size is not None and not (self.batches and selection <= set(self.share)):
            rows = _rows_of(self._items(indices, reading))
        else:
            rows = (row for row in _rows_of(self.batches) if row.indices[0] in selection)
        waiting: dict[Any, list[LabelledImages]] = defaultdict(list)
        for row in rows:
            group = waiting[_kind_of(row)]
            group.append(row)
            if len(group) == reading.batch_size:
                yield to_device(join(waiting.pop(_kind_of(row))), device)
        for group in waiting.values():
            yield to_device(join(group), device)

    def first_images(self, reading: Reading, device: torch.device) -> LabelledImages | None:
        """Return the first images, the same on every process, to check a set-up; `None` if there are none.

        Raises:
            Exception: As the first images raise it, where none of them can be read.
        """
        for start in range(0, min(len(self.indices), MOST_TRIED), IMAGES_IN_CHECK):
            if self.first is None:
                some = self.indices[start : start + IMAGES_IN_CHECK]
                batch = next(self.images(some, reading, device), None)
                self.first = None if batch is None else to_device(batch, CPU)
        if self.first is None and self.error is not None:
            raise self.error
        return None if self.first is None else to_device(self.first, device)

    def reference_images(self, number: int, reading: Reading, device: torch.device) -> LabelledImages:
        """Return other images than those watched, where there are enough, the same on every process.

        Classes are balanced where labels are cheap to read, so that images have references of their class.
        """
        if number not in self.references:
            self.references[number] = to_device(join(list(self._read_references(number, reading))), CPU)
        return to_device(self.references[number], device)

    def hosts(self, reading: Reading, device: torch.device) -> LabelledImages | None:
        """Return other images than those watched, where there are enough, the same on every process, of one size.

        Of a stream they are the first images of this process. `None` if there are none.
        """
        if self.pool is None:
            rows = list(_rows_of(self.batches if self.source.indices is None else self._read_hosts(reading)))
            alike = [row for row in rows if _kind_of(row) == _kind_of(rows[0])]
            self.pool = to_device(join(alike[:NUM_HOSTS]), CPU) if alike else None
        return None if self.pool is None else to_device(self.pool, device)

    def _read_hosts(self, reading: Reading) -> Iterator[LabelledImages]:
        indices = self.source.indices or ()
        order = choose_indices(self.source.dataset, indices, len(indices), reading.seed + 1)
        everything = [self.source.offset + index for index in order]
        watched = set(self.indices)
        candidates = [*(index for index in everything if index not in watched), *self.indices]
        return self._items(candidates[:NUM_HOSTS], reading)

    def _items(self, indices: Sequence[int], reading: Reading) -> Iterator[LabelledImages]:
        readable = [index for index in indices if index not in self.left_out]
        return self._finite(read_items(self.source, readable, reading, self.leave_out))

    def _finite(self, batches: Iterable[LabelledImages]) -> Iterator[LabelledImages]:
        """Leave out images with a value that is not finite."""
        for batch in batches:
            is_finite = batch.images.flatten(1).isfinite().all(dim=1).tolist()
            for index, keep in zip(batch.indices, is_finite, strict=True):
                if not keep:
                    self.leave_out(index, RuntimeError("the image has values that are not finite"))
            rows = [row for row, keep in enumerate(is_finite) if keep]
            if rows:
                yield batch if len(rows) == len(is_finite) else take(batch, rows)

    def _even_out(self) -> None:
        """Fill up with copies of an image, which counts once, so that all processes run equally many passes."""
        kinds = {_kind_of(batch) for batch in self.batches}
        if len(kinds) > 1:
            raise ValueError(
                f"Images must have one size where every pass needs all processes, but got {len(kinds)} sizes.  "
                "Resize them."
            )
        missing = len(self.share) - sum(len(batch.indices) for batch in self.batches)
        if missing and not self.batches:
            raise self.error or ValueError("this process has no image")
        self.batches += [take(self.batches[0], [0])] * missing

    def _read_references(self, number: int, reading: Reading) -> Iterable[LabelledImages]:
        indices = self.source.indices
        if indices is None:
            return list(_rows_of(self.batches))[:number]
        order = choose_indices(self.source.dataset, indices, len(indices), reading.seed + 2)
        everything = [self.source.offset + index for index in order]
        watched = set(self.indices)
        candidates = [index for index in everything if index not in watched] or everything
        return self._items(candidates[:number], reading)


def choose_subset(
    source: Source,
    num_images: int,
    seed: int,
    share: Callable[[list[int]], list[int]],
    *,
    is_even: bool = False,
) -> Subset:
    """Choose the images of a loader; of a stream they are added as they come.

    Args:
        source: The loader.
        num_images: How many.
        seed: Seed of the choice.
        share: Picks this process's images.
        is_even: Whether all processes must have equally many images, of one size.
    """
    if source.indices is None:
        return Subset(source)
    indices = choose_indices(source.dataset, source.indices, num_images, seed)
    return Subset(source, indices, share(indices), is_even=is_even)


def take(batch: LabelledImages, rows: Sequence[int]) -> LabelledImages:
    """Return some rows of a batch, as copies."""
    places = torch.tensor(list(rows), device=batch.images.device, dtype=torch.int64)
    indices = [batch.indices[row] for row in rows]
    return batch.each(lambda part: part[places], indices)


def join(batches: Sequence[LabelledImages]) -> LabelledImages:
    """Return the rows of batches of equal shapes as one batch."""
    return LabelledImages(
        [index for batch in batches for index in batch.indices],
        torch.cat([batch.images for batch in batches]),
        _joined([batch.labels for batch in batches]),
        _joined([batch.masks for batch in batches]),
        tuple(torch.cat(parts) for parts in zip(*(batch.extras for batch in batches), strict=True)),
    )


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    tensors = [part for part in parts if part is not None]
    return torch.cat(tensors) if tensors else None


def _rows_of(batches: Iterable[LabelledImages]) -> Iterator[LabelledImages]:
    return (take(batch, [row]) for batch in batches for row in range(len(batch.indices)))


def _kind_of(batch: LabelledImages) -> tuple[Any, ...]:
    """Return what rows must share to stand in one batch."""
    parts = (batch.images, batch.labels, batch.masks, *batch.extras)
    return tuple(None if part is None else part.shape[1:] for part in parts)


def to_device(batch: LabelledImages, device: torch.device) -> LabelledImages:
    """Move a batch."""
    return batch.each(lambda part: part.to(device))
