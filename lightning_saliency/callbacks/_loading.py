"""Read chosen items of the user's data set through a loader of our own, unnoticed by the user's loader."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import lightning.pytorch as pl
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader, Dataset, IterableDataset

from lightning_saliency._random import keyed_generator, private_random_state


class Source(NamedTuple):
    """The user's loader whose images are watched.

    Attributes:
        loader: The loader.
        dataloader_idx: Its position among the loaders of this evaluation.
    """

    loader: Any
    dataloader_idx: int

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


def find_source(dataloaders: Any, dataloader_idx: int) -> Source:
    """Pick one of the loaders.

    Raises:
        ValueError: If there are not so many.
    """
    loaders = CombinedLoader(dataloaders, "sequential").flattened
    if dataloader_idx >= len(loaders):
        raise ValueError(
            f"Expected `dataloader_idx` to be below {len(loaders)}, the number of loaders, but got {dataloader_idx}."
        )
    return Source(loaders[dataloader_idx], dataloader_idx)


def read_items(
    trainer: pl.Trainer,
    pl_module: pl.LightningModule,
    source: Source,
    indices: Sequence[int],
    batch_size: int,
    seed: int,
) -> Iterator[tuple[list[int], Any]]:
    """Yield batches of the items with their indices, transferred as Lightning transfers the loop's own.

    The user's collate function, worker initialisation and transfer hooks apply. With workers in the
    user's loader one worker loads here, too: a lazily opened file must not be shared with this process.

    Raises:
        RuntimeError: If the data set raises.
    """
    batches = [list(indices[start : start + batch_size]) for start in range(0, len(indices), batch_size)]
    loaded = _loaded(source.loader, batches, seed)
    for chosen in batches:
        try:
            batch = next(loaded)
        except Exception as error:
            # Whatever its type, this is no fault of the monitor's arguments.
            raise RuntimeError(f"images {chosen} cannot be read: {type(error).__name__}: {error}") from error
        yield chosen, _transfer(trainer, pl_module, batch, source.dataloader_idx)


def _loaded(loader: DataLoader[Any], batches: list[list[int]], seed: int) -> Iterator[Any]:
    workers = min(1, loader.num_workers)
    yield from DataLoader(
        _Seeded(loader.dataset, seed),
        batch_sampler=batches,
        collate_fn=loader.collate_fn,
        num_workers=workers,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context if workers else None,
        generator=keyed_generator("loader", seed),
    )


class _Seeded(Dataset[Any]):
    """A data set whose items are the same whenever they are read, whatever chance their transforms take."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __getitem__(self, index: int) -> Any:
        with private_random_state(self.seed + index):
            return self.dataset[index]


def _transfer(trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, dataloader_idx: int) -> Any:
    batch = trainer.precision_plugin.convert_input(batch)
    owner: Any = pl_module
    datamodule = getattr(trainer, "datamodule", None)
    hook = "on_before_batch_transfer"
    if datamodule is not None and getattr(type(datamodule), hook) is not getattr(pl.LightningDataModule, hook):
        owner = datamodule
    batch = owner.on_before_batch_transfer(batch, dataloader_idx)
    return trainer.strategy.batch_to_device(batch, dataloader_idx=dataloader_idx)
