"""A look at what a monitor will do, before there is a trainer."""

from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
from torch import nn

from lightning_saliency._name_spaces import is_kind, overrides
from lightning_saliency._random import private_random_state
from lightning_saliency._signals import signals_held
from lightning_saliency.callbacks._lightning import find_source
from lightning_saliency.callbacks._silence import silenced
from lightning_saliency.monitor.config import Settings
from lightning_saliency.monitor.evaluate import evaluate_subset
from lightning_saliency.monitor.items import Reading
from lightning_saliency.monitor.preflight import Preflight
from lightning_saliency.monitor.streams import read_stream
from lightning_saliency.monitor.subset import IMAGES_IN_CHECK, choose_subset
from lightning_saliency.monitor.without_trainer import source_of


def look_ahead(network: nn.Module, pl_module: pl.LightningModule, data: Any, settings: Settings) -> Preflight:
    """Explain two images, and return what that has shown; nothing that training will draw is drawn here.

    Raises:
        ValueError: If there are no images.
    """
    with signals_held(), private_random_state(settings.seed), silenced(pl_module):
        preflight = _look_ahead(network, pl_module, data, settings)
    if preflight is None:
        raise ValueError("`data` must hold images, but got none.  Pass a loader that yields a batch.")
    return preflight


def _look_ahead(network: nn.Module, pl_module: pl.LightningModule, data: Any, settings: Settings) -> Preflight | None:
    loaders = _loaders_of(data)

    def transfer(batch: Any) -> Any:
        batch = _hook("on_before_batch_transfer", pl_module, data)(batch, settings.dataloader_idx)
        batch = _hook("transfer_batch_to_device", pl_module, data)(batch, pl_module.device, settings.dataloader_idx)
        return _hook("on_after_batch_transfer", pl_module, data)(batch, settings.dataloader_idx)

    source = source_of(data) if loaders is None else find_source(loaders, settings.dataloader_idx)
    subset = choose_subset(source, settings.num_images, settings.seed, lambda indices: indices[:IMAGES_IN_CHECK])
    owners = (pl_module,) if loaders is None else (data, pl_module)
    reading = Reading(transfer, settings.batch, settings.max_batch_size, settings.seed, owners)
    if source.size is None:
        read_stream(subset, reading, replace(settings, num_images=IMAGES_IN_CHECK))
    evaluated = evaluate_subset(
        pl_module,
        network,
        subset,
        reading,
        settings,
        pl_module.device,
        check=True,
        cues=settings.cues,
        looks_ahead=True,
    )
    return evaluated.preflight


def _loaders_of(data: Any) -> Any:
    """Return the validation loaders of a data module."""
    if not is_kind(data, pl.LightningDataModule):
        return None
    data.prepare_data()
    data.setup("validate")
    return data.val_dataloader()


def _hook(name: str, pl_module: pl.LightningModule, data: Any) -> Any:
    """Return a batch-transfer hook, as Lightning chooses it: of the data module where it has its own."""
    is_of_data = is_kind(data, pl.LightningDataModule) and overrides(data, pl.LightningDataModule, name)
    return getattr(data if is_of_data else pl_module, name)
