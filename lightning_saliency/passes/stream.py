"""Read quantities off streams of gradients: equal points share their passes, equal readings their statistics."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from lightning_saliency._checks import check_classes
from lightning_saliency._model import WAY_OUT, logits_of
from lightning_saliency._types import Images, Logits, Model, Targets
from lightning_saliency.passes.chunks import chunk_size
from lightning_saliency.passes.layers import as_grid, find_layers, recording
from lightning_saliency.passes.points import Clean, Points, Sample
from lightning_saliency.passes.recorder import LayerPoints, Recorder, output_of
from lightning_saliency.passes.statistics import Mean, Rivals, Seen, Statistic


@dataclass(frozen=True)
class Reading:
    """One quantity: a statistic of the gradients at some points, with respect to the input or a layer's output."""

    points: Points
    statistic: Statistic
    layer: str | None = None


def read_streams(
    model: Model, images: Images, targets: Targets, readings: Iterable[Reading], max_batch_size: int
) -> Iterator[tuple[Images, dict[Reading, Any]]]:
    """Yield chunk after chunk of the images with the value of every reading.

    A pass holds at most `max_batch_size` inputs: a chunk of images, or several steps of a smaller one.
    """
    max_batch_size = chunk_size(images, max_batch_size)
    wanted = list(dict.fromkeys(readings))
    layers = find_layers(model, images, dict.fromkeys(r.layer for r in wanted if r.layer is not None))
    recorder = Recorder(model, layers, max_batch_size)
    for chunk, chunk_targets in zip(images.split(max_batch_size), targets.split(max_batch_size), strict=True):
        values: dict[Reading, Any] = {}
        for points, group in _by_points(wanted):
            values |= _read(recorder, chunk, chunk_targets, points, group)
        yield chunk, values


def observe(model: Model, inputs: Images, targets: Targets) -> Seen:
    """Show the targets' logits and their gradients at one point of every image, for who chooses points as it goes."""
    recorder = Recorder(model, {}, len(inputs))
    _, seen = next(_backward(recorder, inputs, targets, [Sample(inputs)], [Reading(Clean(), Mean())]))
    return seen


def _by_points(readings: list[Reading]) -> Iterator[tuple[Points, list[Reading]]]:
    kinds = list(dict.fromkeys(reading.points for reading in readings))
    ordered = sorted(readings, key=lambda reading: kinds.index(reading.points))
    for points, group in groupby(ordered, key=lambda reading: reading.points):
        yield points, list(group)


def _read(
    recorder: Recorder, images: Images, targets: Targets, points: Points, readings: list[Reading]
) -> dict[Reading, Any]:
    states: dict[Reading, Any] = dict.fromkeys(readings)
    stride = max(1, recorder.max_batch_size // len(images))
    if isinstance(points, LayerPoints):
        points = points.seen_by(recorder, images)
    for start in range(0, points.num_steps, stride):
        samples = [points.sample(images, step) for step in range(start, min(start + stride, points.num_steps))]
        for layer, seen in _backward(recorder, images, targets, samples, readings):
            for reading in readings:
                if reading.layer == layer and _sees(reading.statistic.rivals, seen.rival):
                    states[reading] = reading.statistic.update(states[reading], seen)
    return {reading: reading.statistic.value(state) for reading, state in states.items()}


def _sees(rivals: Rivals, rival: int) -> bool:
    return rival == 0 or rivals == "all" or (isinstance(rivals, int) and rival <= rivals)


def _backward(
    recorder: Recorder, images: Images, targets: Targets, samples: list[Sample], readings: list[Reading]
) -> Iterator[tuple[str | None, Seen]]:
    """Run one forward of all samples together, then one backward for every logit that is wanted."""
    names = dict.fromkeys(reading.layer for reading in readings)
    # Where only layers are read, what comes before them needs no graph.
    inputs = torch.cat([sample.inputs.detach() for sample in samples]).requires_grad_(None in names)
    layers = {name: recorder.layers[name] for name in names if name is not None}
    # The network gets a copy, because in-place operations are refused on what gradients are taken of.
    with recording(layers, _replacements(samples)) as outputs, samples[0].around():
        logits = logits_of(recorder.model, inputs.clone())
    repeated = targets.repeat(len(samples))
    classes = _classes(logits, repeated, readings)
    scores = logits.gather(1, classes)
    watched = {name: inputs if name is None else output_of(outputs, name) for name in names}
    for rival in range(classes.shape[1]):
        last = rival == classes.shape[1] - 1
        gradients = _gradients(scores[:, rival], list(watched.values()), retain_graph=not last)
        for (name, watched_tensor), gradient in zip(watched.items(), gradients, strict=True):
            for index, sample in enumerate(samples):
                part = slice(index * len(images), (index + 1) * len(images))
                seen = Seen(
                    gradient=_readable(gradient[part], name, images),
                    activation=_readable(watched_tensor[part], name, images),
                    score=scores[part, 0].detach(),
                    weight=sample.weight,
                    direction=_direction(sample, images),
                    rival=rival,
                )
                yield name, seen


def _replacements(samples: list[Sample]) -> dict[str, Tensor]:
    layer = samples[0].layer
    replaced = [sample.replacement for sample in samples if sample.replacement is not None]
    return {} if layer is None or not replaced else {layer: torch.cat(replaced)}


def _direction(sample: Sample, images: Images) -> Tensor | None:
    if sample.direction is None or sample.layer is None:
        return sample.direction
    return _readable(sample.direction, sample.layer, images)


def _classes(logits: Logits, targets: Targets, readings: list[Reading]) -> Tensor:
    """One column per backward pass: the target's class, then its rivals."""
    check_classes(targets, logits.shape[1])
    wanted = {reading.statistic.rivals for reading in readings}
    own = targets[:, None]
    most = max((rivals for rivals in wanted if isinstance(rivals, int)), default=0)
    if "all" not in wanted and not most:
        return own
    count = logits.shape[1] - 1 if "all" in wanted else min(most, logits.shape[1] - 1)
    others = logits.detach().scatter(1, own, -torch.inf)
    return torch.cat([own, others.topk(count, dim=1).indices], dim=1)


def _gradients(scores: Tensor, watched: list[Tensor], *, retain_graph: bool) -> list[Tensor]:
    gradients: tuple[Tensor | None, ...] = (None,)
    if scores.requires_grad:
        gradients = torch.autograd.grad(scores.sum(), watched, retain_graph=retain_graph, allow_unused=True)
    found = [gradient for gradient in gradients if gradient is not None]
    if len(found) < len(watched):
        raise ValueError(
            "Expected a differentiable path from the images (or the layer) to the logits, but there is none: "
            f"look for `detach`, `no_grad`, `argmax` or a layer off the path, or {WAY_OUT}."
        )
    return found


def _readable(tensor: Tensor, layer: str | None, images: Images) -> Tensor:
    """Lay out, cut from the graph, and widen half precision, in which statistics would drown."""
    laid_out = tensor if layer is None else as_grid(tensor, images)
    detached = laid_out.detach()
    return detached if detached.dtype == torch.float64 else detached.float()
