"""Explain and score a share of the images, batch by batch."""

import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from lightning_saliency._checks import UnsuitableModelError, check_classes
from lightning_saliency._model import explaining
from lightning_saliency._signals import let_interrupts_in, signals_held
from lightning_saliency._types import Images, Maps, Targets
from lightning_saliency.cues import DEFAULT, Cue
from lightning_saliency.evaluation import explain, measure
from lightning_saliency.following import Following
from lightning_saliency.metrics import ExplanationMetric
from lightning_saliency.monitor._class_names import class_names_of
from lightning_saliency.monitor._compact import MapsByImage, SmallMap, compact, fingerprint
from lightning_saliency.monitor._extras import apart, with_extras
from lightning_saliency.monitor._network_state import network_untouched
from lightning_saliency.monitor._normalization import Colours, colours_of
from lightning_saliency.monitor._preparation import prepare_methods, prepare_metrics
from lightning_saliency.monitor._progress import Progress, Tell, no_progress
from lightning_saliency.monitor.batches import LabelledImages, are_classes
from lightning_saliency.monitor.config import Settings, activation_of
from lightning_saliency.monitor.discovery import call_network, choose_targets, is_one_column, not_classes
from lightning_saliency.monitor.evaluated import Evaluated, Thumbnail
from lightning_saliency.monitor.evaluation import Evaluation, merge
from lightning_saliency.monitor.heads import look_at_head, num_classes_of, with_activation
from lightning_saliency.monitor.items import Reading
from lightning_saliency.monitor.preflight import Passes, Preflight, described_target, layers_of, passes_counted
from lightning_saliency.monitor.subset import Subset
from lightning_saliency.monitor.suitability import suitable_methods
from lightning_saliency.monitor.task import Batch, Task, names_of
from lightning_saliency.monitor.thumbnails import shown_together, thumbnails_of
from lightning_saliency.monitor.transplants import Example, Hosts, Transplants, strongest
from lightning_saliency.passes._normalize import is_blank
from lightning_saliency.targets import ClassLogit, MultiLabel, Target, as_target, class_logits

WITHOUT_CUES: Final = (
    "Cues are left out, because they need labels that are classes, and a network from images alone to their logits. "
    "Pass `cues=()`."
)
WITHOUT_DEFAULT_CUES: Final = "no cues, which by default need a target that is a class of each image"


def evaluate_subset(
    module: nn.Module,
    network: nn.Module,
    subset: Subset,
    reading: Reading,
    settings: Settings,
    device: torch.device,
    *,
    check: bool = False,
    cues: tuple[Cue, ...] = (),
    looks_ahead: bool = False,
    progress: Progress = no_progress,
) -> Evaluated:
    """Explain and score this process's share of a subset.

    Args:
        module: The module that is borrowed and restored.
        network: The module that maps images to logits, a part of the module or built on it.
        subset: The images.
        reading: How they are read.
        settings: What to do.
        device: The device of the module.
        check: Whether to take only the first images, the same on every process.
        cues: Cues that are put from the images into hosts.
        looks_ahead: Whether to return a preflight.
        progress: Shows how many images are done.
    """
    with signals_held(), network_untouched(module), explaining(module, seed=settings.seed):
        if not check:
            subset.read(reading, settings.max_kept_bytes)
        first = subset.first_images(reading, device)
        if first is None:
            return Evaluated()
        source = subset.source
        helpers = (getattr(source.loader, "collate_fn", None), *reading.owners)
        colours = colours_of(settings.normalization, source.dataset, helpers, network, first.images)
        metrics, notes = prepare_metrics(settings, colours)
        names = class_names_of(source.dataset)
        num_classes = num_classes_of(module, names)
        head = look_at_head(network, module, first, num_classes, settings.target, settings.max_batch_size)
        network = head.network
        # Of several classes each has a probability of its own, whatever the metrics say.
        labels = None if isinstance(settings.target, MultiLabel) else first.labels
        metrics, advice = with_activation(metrics, labels, head.activation, are_default=settings.metrics_are_default)
        notes = {**notes, **head.notes, **advice}
        task = Task(
            prepare_methods(settings, subset, reading, colours.normalization, device),
            metrics,
            settings.metrics_are_default,
            settings.target,
            settings.min_confidence,
            activation_of(metrics),
            settings.max_batch_size,
            colours.normalization,
            frozenset(settings.controls),
            names,
            settings.scoring_precision,
            methods_are_default=settings.methods_are_default,
            display=settings.display,
        )
        # Hosts are predicted without further arguments.
        follows = cues and head.has_classes and not first.extras
        hosts = (first if check else subset.hosts(reading, device)) if follows else None
        if hosts is not None and are_classes(hosts.labels):
            task = replace(task, transplants=_transplants(cues, hosts.images, hosts.labels, settings, task))
        elif cues:
            notes = notes | {"cues": WITHOUT_CUES}
        watched = subset.watched(settings.num_images)
        chosen = set(watched)
        share = [index for index in subset.share if index in chosen]
        batches = [first] if check else subset.images(share, reading, device)
        started = time.perf_counter()
        with (
            progress(len(first.indices) if check else len(share)) as tell,
            passes_counted(network) if looks_ahead else nullcontext() as passes,
        ):
            evaluated = evaluate(network, _reported(batches, tell), task)
        left_out = {} if check else subset.left_out_of(watched)
        evaluation = merge([evaluated.evaluation, Evaluation(left_out=left_out, colours=colours)])
        seconds = time.perf_counter() - started
        preflight = (
            None
            if passes is None
            else _preflight(network, settings, task, colours, first, passes, evaluation.num_read, seconds)
        )
        panels = watched[: settings.num_panels]
        notes = {**notes, **evaluated.notes}
        return replace(evaluated, evaluation=evaluation, panels=panels, preflight=preflight, notes=notes)


def _preflight(
    network: nn.Module,
    settings: Settings,
    task: Task,
    colours: Colours,
    first: LabelledImages,
    passes: Passes,
    num_images: int,
    seconds: float,
) -> Preflight:
    """Put together what some images have shown."""
    count, choice = len(first.images), settings.target
    target = choice.of(count) if isinstance(choice, Target) else ClassLogit(torch.zeros(count, dtype=torch.int64))
    target = target.to(first.images.device)
    number = max(num_images, 1)
    return Preflight(
        network=type(network).__name__,
        layers=layers_of(
            with_extras(network, first.extras),
            first.images,
            {name: task.methods[name] for name in settings.methods},
            target,
        ),
        normalization=colours.normalization,
        normalization_source=colours.source,
        target=described_target(settings.target, first.labels),
        class_names=None if task.class_names is None else tuple(task.class_names),
        forwards=passes.forwards / number,
        backwards=passes.backwards / number,
        seconds=seconds / number * settings.num_images,
        num_images=settings.num_images,
        without_cues=WITHOUT_DEFAULT_CUES if isinstance(choice, Target) and not settings.cues else "",
    )


def evaluate(network: nn.Module, batches: Iterable[LabelledImages], task: Task) -> Evaluated:
    """Explain and score; the network is borrowed by the caller."""
    parts: list[Evaluation] = []
    thumbnails: dict[int, Thumbnail] = {}
    examples: list[dict[str, Example]] = []
    outside: list[_Strange] = []
    notes: dict[str, str] = {}
    for indices, images, labels, masks, extras in apart(batches):
        let_interrupts_in()
        model = with_extras(network, extras)
        with torch.no_grad():
            output = call_network(model, images)
            chosen = choose_targets(task.target, output, labels)
            if isinstance(chosen, Tensor):
                chosen, strange = _among_classes(chosen, output)
                outside.append(strange)
                parts.append(Evaluation(left_out={indices[row]: reason for row, reason in strange.reasons.items()}))
            target = as_target(chosen, len(images)).to(images.device).completed(output, labels)
            logits = target.logits(output) if "classes" in target.offers else None
            batch = Batch(indices, images, labels, masks, target, logits)
        if task.min_confidence > 0:
            target.require("probability", "min_confidence")
            batch = batch.where(target.probability(output, task.activation) >= task.min_confidence)
            parts.append(Evaluation(unused=torch.tensor(sorted(set(indices) - set(batch.indices)), dtype=torch.int64)))
        if task.transplants is not None and are_classes(labels) and logits is not None:
            donors = (network, indices, images, labels, logits)
            transplants, followings, pictured, small, more = _follow(task.transplants, *donors)
            task, notes = replace(task, transplants=transplants), notes | more
            parts.append(Evaluation(followings=followings, relevance=small))
            examples.append(pictured)
        if batch.indices:
            try:
                parts.append(_evaluate_batch(model, batch, task))
            except UnsuitableModelError:
                if not task.methods_are_default:
                    raise
                methods, more = suitable_methods(model, batch.images, batch.target, task.methods, task.controls)
                notes |= more
                task = replace(task, methods=methods)
                parts.append(_evaluate_batch(model, batch, task))
            thumbnails |= thumbnails_of(batch, task)
            notes |= _note(task, batch.target)
    evaluation = merge(parts)
    if not evaluation.num_read:
        _refuse_all(outside)
    if task.transplants is not None and evaluation.num_read and not examples:
        notes = {**notes, "cues": WITHOUT_CUES}
    return Evaluated(evaluation, thumbnails, examples=strongest(examples), notes=notes)


def _follow(
    transplants: Transplants, network: nn.Module, *donors: Any
) -> tuple[Transplants, dict[str, Following], dict[str, Example], MapsByImage, dict[str, str]]:
    """Put cues into hosts; default cues that need maps are left out, with a note, where there can be none."""
    try:
        return transplants, *transplants.follow(network, *donors), {}
    except UnsuitableModelError as error:
        if not transplants.are_default:
            raise
        note = f"Left out default cues that need maps of the images. {error}"
    transplants = transplants.without_maps()
    return transplants, *transplants.follow(network, *donors), {"maps of cues": note}


class _Strange(NamedTuple):
    """Targets of which some are no classes of the model, with reasons by row."""

    targets: Tensor
    num_classes: int
    reasons: dict[int, str]
    is_one_column: bool


def _among_classes(targets: Tensor, output: Any) -> tuple[Tensor, _Strange]:
    """Put a class in place of what is none: it is explained all the same, since other processes may wait."""
    num_classes = class_logits(output, len(targets)).shape[1]
    single = is_one_column(output)
    reasons = not_classes(targets, num_classes)
    if single:
        reasons = {row: f"{reason} (of one output; for a regression pass `target`)" for row, reason in reasons.items()}
    return targets.clamp(0, num_classes - 1), _Strange(targets, num_classes, reasons, single)


def _refuse_all(outside: Sequence[_Strange]) -> None:
    """Refuse targets beyond the classes where no image is left; without a class, as with -1, images may be."""
    for targets, num_classes, _, single in outside:
        beyond = targets[targets >= num_classes]
        if len(beyond) and single:
            raise ValueError(
                f"Labels of a network with one output must be 0 or 1, but got {beyond[0].item()}.  For a regression "
                "pass `target`, such as `Regression(0)`."
            )
        if len(beyond):
            check_classes(targets, num_classes)


def _transplants(cues: tuple[Cue, ...], hosts: Images, labels: Targets, settings: Settings, task: Task) -> Transplants:
    return Transplants(
        cues,
        Hosts(hosts, labels),
        settings.num_hosts,
        settings.seed,
        task.activation,
        task.max_batch_size,
        task.scoring_precision,
        partial(shown_together, task=task),
        task.class_names,
        are_default=settings.cues == DEFAULT,
    )


def _reported(batches: Iterable[LabelledImages], tell: Tell) -> Iterator[LabelledImages]:
    """Tell after each batch how many images are done."""
    done = 0
    for batch in batches:
        yield batch
        done += len(batch.indices)
        tell(done)


def _evaluate_batch(network: nn.Module, batch: Batch, task: Task) -> Evaluation:
    maps = explain(network, batch.images, batch.target, task.methods, task.max_batch_size)
    valid = {name: torch.isfinite(method_maps.flatten(1)).all(dim=1) for name, method_maps in maps.items()}
    # A map that cannot be scored is scored as a blank one beside the others, and its score thrown away.
    maps = {name: torch.where(_beside(valid[name], raw), raw, 0.0) for name, raw in maps.items()}
    evaluation = Evaluation(
        indices=torch.tensor(batch.indices, dtype=torch.int64),
        invalid={name: ~flags.cpu() for name, flags in valid.items()},
        blank={name: (valid[name] & is_blank(method_maps)).cpu() for name, method_maps in maps.items()},
        targets=torch.tensor(_numbers(batch.target), dtype=torch.int64),
        predicted=_predicted(batch),
        class_names=_names_of_targets(batch, task),
        fingerprints=torch.tensor([fingerprint(image) for image in batch.images], dtype=torch.int64),
        maps={name: _small_maps(batch, maps[name], valid[name]) for name in maps if name not in task.controls},
    )
    metrics = _suitable(task, batch.target)
    return (
        _with_scores(evaluation, network, batch, maps, valid, replace(task, metrics=metrics)) if metrics else evaluation
    )


def _suitable(task: Task, target: Target) -> Mapping[str, ExplanationMetric]:
    """Leave out default metrics that need what a target does not have, which only the images may have shown."""
    if not task.metrics_are_default:
        return task.metrics
    return {name: metric for name, metric in task.metrics.items() if target.offers.issuperset(metric.reads)}


def _note(task: Task, target: Target) -> dict[str, str]:
    """Say which default metrics are left out."""
    missing = sorted(task.metrics.keys() - _suitable(task, target).keys())
    note = (
        f"Metrics {missing} are left out, because they need a probability or classes, which {type(target).__name__} "
        'does not have: pass others, such as `metrics=["insertion", "deletion"]`.'
    )
    return {"target": note} if missing else {}


def _with_scores(
    evaluation: Evaluation,
    network: nn.Module,
    batch: Batch,
    maps: Mapping[str, Maps],
    valid: Mapping[str, Tensor],
    task: Task,
) -> Evaluation:
    measured = measure(
        network,
        batch.images,
        maps,
        batch.target,
        task.metrics,
        methods=task.methods,
        masks=batch.masks,
        max_batch_size=task.max_batch_size,
        scoring_precision=task.scoring_precision,
    )
    by_key = {(method, metric): result for method, row in measured.items() for metric, result in row.items()}
    scores = {key: torch.where(valid[key[0]], result.scores, torch.nan) for key, result in by_key.items()}
    curves = {
        key: torch.where(valid[key[0]][:, None], result.curves, torch.nan)
        for key, result in by_key.items()
        if result.curves is not None
    }
    return replace(
        evaluation,
        scores={key: column.cpu().double() for key, column in scores.items()},
        curves={key: column.to("cpu", torch.float32) for key, column in curves.items()},
    )


def _small_maps(batch: Batch, maps: Maps, valid: Tensor) -> dict[int, SmallMap]:
    pairs = zip(batch.indices, compact(maps), valid.tolist(), strict=True)
    return {index: small for index, small, is_valid in pairs if is_valid}


def _names_of_targets(batch: Batch, task: Task) -> dict[int, str]:
    """Name the classes that have a name, and what is explained in place of a class."""
    numbers = _numbers(batch.target)
    texts = {number: text for number, text in zip(numbers, batch.target.texts, strict=True) if number < 0}
    names = names_of(batch, task) | texts
    return {number: names[number] for number in sorted(set(numbers)) if number in names}


def _numbers(target: Target) -> list[int]:
    """Number what is explained: a class by itself, and anything else by a negative number of its text."""
    classes = [-1] * len(target) if target.classes is None else target.classes.tolist()
    pairs = zip(classes, target.texts, strict=True)
    return [label if label >= 0 else -1 - zlib.crc32(text.encode()) for label, text in pairs]


def _predicted(batch: Batch) -> Tensor:
    """Return the predicted classes, -1 where a prediction is no class."""
    if batch.logits is None or batch.target.classes is None:
        return torch.full((len(batch.indices),), -1)
    return batch.logits.argmax(dim=1).cpu()


def _beside(per_image: Tensor, maps: Maps) -> Tensor:
    return per_image.reshape(-1, *[1] * (maps.ndim - 1))
