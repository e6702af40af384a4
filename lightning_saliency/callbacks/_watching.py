"""One process's part of an evaluation: read its share of the images, explain and score them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass, replace
from itertools import islice
from typing import Any, cast

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from lightning_saliency._model import explaining
from lightning_saliency._random import keyed_generator
from lightning_saliency.callbacks._batches import LabelledImages, read_batch
from lightning_saliency.callbacks._colours import class_names_of, find_colours
from lightning_saliency.callbacks._evaluation import Evaluated, Task, evaluate
from lightning_saliency.callbacks._loading import Source, read_items
from lightning_saliency.callbacks._network import network_of
from lightning_saliency.callbacks._progress import Tell, showing_progress
from lightning_saliency.callbacks._settings import Settings
from lightning_saliency.callbacks._sharding import is_sharded, read_together, share_of
from lightning_saliency.callbacks._subset import choose_indices
from lightning_saliency.methods import Method
from lightning_saliency.metrics import ExplanationMetric
from lightning_saliency.passes.normalization import Normalization
from lightning_saliency.passes.references import References

IMAGES_IN_CHECK = 2


def watch(
    trainer: pl.Trainer,
    pl_module: pl.LightningModule,
    settings: Settings,
    source: Source,
    kept: list[LabelledImages] | None,
    *,
    check: bool,
) -> Evaluated:
    """Explain this process's share; a check takes the same two images on every process.

    Args:
        trainer: The trainer.
        pl_module: The module, which is borrowed and given back.
        settings: What to do.
        source: The user's loader.
        kept: Images kept from the loader where its data cannot be read by index.
        check: Whether this is the sanity run.
    """
    with explaining(pl_module, seed=settings.seed):
        network = network_of(pl_module, settings.model, settings.output)
        reader = _Reader(trainer, pl_module, settings, source, kept)
        first = next(reader.read(reader.indices[:IMAGES_IN_CHECK]), None)
        if first is None:
            return Evaluated()
        colours = settings.colours or find_colours(source.dataset, network, first.images)
        task = Task(
            _prepared_methods(settings, reader, colours),
            _prepared_metrics(settings, colours),
            settings.target,
            settings.min_confidence,
            settings.activation,
            settings.max_batch_size,
            colours,
            frozenset(settings.controls),
            class_names_of(source.dataset),
            settings.scoring_precision,
        )
        batches: Iterable[LabelledImages] = [first] if check else reader.read(reader.share)
        if is_sharded(trainer):
            batches = read_together(batches)
        with showing_progress(trainer, len(first.indices) if check else len(reader.share)) as tell:
            evaluated = evaluate(network, _told(batches, tell), task)
        evaluated.panels = reader.indices[: settings.num_panels]
        return evaluated


class _Reader:
    """The chosen images by index, from the data set or from those kept."""

    def __init__(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        settings: Settings,
        source: Source,
        kept: list[LabelledImages] | None,
    ) -> None:
        self.trainer = trainer
        self.pl_module = pl_module
        self.settings = settings
        self.source = source
        self.kept = kept
        if kept is None:
            size = source.size or 0
            self.indices = choose_indices(source.dataset, size, settings.num_images, settings.seed)
            self.share = share_of(self.indices, trainer)
        else:
            held = [index for batch in kept for index in batch.indices]
            # A budget may since have cut their number.
            self.indices = self.share = [index for index in held if index < settings.num_images]

    def read(self, indices: list[int]) -> Iterator[LabelledImages]:
        """Yield labelled images on the module's device."""
        if self.kept is not None:
            yield from self._read_kept(indices)
            return
        settings = self.settings
        items = read_items(self.trainer, self.pl_module, self.source, indices, settings.max_batch_size, settings.seed)
        for chosen, batch in items:
            yield read_batch(batch, settings.batch, chosen)

    def draw_references(self, number: int) -> Tensor:
        """Read other images than those chosen, as far as there are, the same on every process."""
        if self.kept is not None:
            return _joined(self.kept).images[:number].to(self.pl_module.device)
        size = self.source.size or 0
        order = torch.randperm(size, generator=keyed_generator("references", self.settings.seed)).tolist()
        chosen = set(self.indices)
        candidates = [index for index in order if index not in chosen] or order
        return torch.cat([batch.images for batch in self.read(candidates[:number])])

    def _read_kept(self, indices: list[int]) -> Iterator[LabelledImages]:
        if not self.kept:
            return
        whole = _joined(self.kept)
        wanted = set(indices)
        rows = [row for row, index in enumerate(whole.indices) if index in wanted]
        for start in range(0, len(rows), self.settings.max_batch_size):
            part = rows[start : start + self.settings.max_batch_size]
            yield _to_device(_take(whole, part), self.pl_module.device)


def _told(batches: Iterable[LabelledImages], tell: Tell) -> Iterator[LabelledImages]:
    """Tell after each batch how many images are done."""
    done = 0
    for batch in batches:
        yield batch
        done += len(batch.indices)
        tell(done)


def keep_images(batch: object, settings: Settings, numbers: Iterator[int], most: int) -> LabelledImages:
    """Keep the first images of a batch of the user's loader on the CPU, numbered as they come."""
    found = read_batch(batch, settings.batch)
    indices = list(islice(numbers, min(most, len(found.images))))
    return _to_device(_take(found._replace(indices=indices), range(len(indices))), torch.device("cpu"))


def _joined(batches: list[LabelledImages]) -> LabelledImages:
    indices = [index for batch in batches for index in batch.indices]
    images = torch.cat([batch.images for batch in batches])
    return LabelledImages(indices, images, _cat([b.labels for b in batches]), _cat([b.masks for b in batches]))


def _cat(parts: list[Tensor | None]) -> Tensor | None:
    known = [part for part in parts if part is not None]
    return torch.cat(known) if len(known) == len(parts) else None


def _take(batch: LabelledImages, rows: list[int] | range) -> LabelledImages:
    places = torch.tensor(list(rows), device=batch.images.device, dtype=torch.int64)
    indices = [batch.indices[row] for row in rows]
    labels, masks = (None if part is None else part[places] for part in (batch.labels, batch.masks))
    return LabelledImages(indices, batch.images[places].clone(), labels, masks)


def _to_device(batch: LabelledImages, device: torch.device) -> LabelledImages:
    labels, masks = (None if part is None else part.to(device) for part in (batch.labels, batch.masks))
    return LabelledImages(batch.indices, batch.images.to(device), labels, masks)


def _prepared_methods(settings: Settings, reader: _Reader, colours: Normalization | None) -> dict[str, Method]:
    """Give methods the references that they wait for, and tell them how images were normalised."""
    drawn: dict[int, References] = {}

    def prepared(method: Any) -> Any:
        wanted = getattr(method, "references", None)
        if isinstance(wanted, int) and hasattr(method, "with_references"):
            if wanted not in drawn:
                drawn[wanted] = References(reader.draw_references(wanted))
            method = method.with_references(drawn[wanted])
        if colours is not None and is_dataclass(method) and getattr(method, "mean", 0) is None:
            method = replace(cast("Any", method), mean=colours.mean, std=colours.std)
        return method

    return {name: prepared(method) for name, method in settings.all_methods.items()}


def _prepared_metrics(settings: Settings, colours: Normalization | None) -> Mapping[str, ExplanationMetric]:
    """Tell metrics that need raw colours how the images were normalised, or leave them out of the default set."""
    blind = [name for name, metric in settings.metrics.items() if metric.lacks_normalization]
    if colours is not None:
        return {
            name: metric.with_normalization(colours.mean, colours.std) if name in blind else metric
            for name, metric in settings.metrics.items()
        }
    if blind and not settings.metrics_are_default:
        raise ValueError(
            f"Expected to find how images were normalised for metric {blind[0]!r}, since they do not lie in [0, 1], "
            "but got no `Normalize` among the data set's transforms and no timm configuration: pass `mean` and `std`."
        )
    if blind:
        rank_zero_warn(
            f"Metrics {blind} are left out, because images do not lie in [0, 1] and their normalisation is unknown: "
            "pass `mean` and `std` to SaliencyMonitor."
        )
    return {name: metric for name, metric in settings.metrics.items() if name not in blind}
