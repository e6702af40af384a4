"""Watched images of data that can only be read from their beginning."""

from itertools import count

from lightning_saliency._random import private_random_state
from lightning_saliency._signals import signals_held
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.items import Reading
from lightning_saliency.monitor.subset import Subset


def read_stream(subset: Subset, reading: Reading, settings: Settings, rank: int = 0, world_size: int = 1) -> None:
    """Keep the first images of a loader without indices, as many as this process needs and memory allows.

    Args:
        subset: The images, none so far.
        reading: How they are read.
        settings: How many images all processes need, and the memory of each.
        rank: This process, which numbers its images from here on in steps of the number of processes.
        world_size: Number of processes.
    """
    numbers = count(rank, world_size)
    num_missing = len(range(rank, settings.num_images, world_size))
    if not num_missing:
        return
    with signals_held(), private_random_state(settings.seed):
        for batch in subset.source.loader:
            subset.collect(batch, reading.batch, numbers, num_missing - len(subset.share), reading.transfer)
            if len(subset.share) == num_missing or subset.num_bytes >= settings.max_kept_bytes:
                return
