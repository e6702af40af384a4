"""Read quantities from streams of gradients: equal points share their passes, equal readings their statistics."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

import torch
from torch import Tensor

from lightning_saliency._checks import UnsuitableModelError
from lightning_saliency._signals import let_interrupts_in
from lightning_saliency._types import Images, Model, Scores
from lightning_saliency.passes.chunks import chunk_size
from lightning_saliency.passes.grids import as_grid
from lightning_saliency.passes.layers import LayerName, find_layers
from lightning_saliency.passes.points import Clean, Points, Sample
from lightning_saliency.passes.recorder import Recorder
from lightning_saliency.passes.statistics import Mean, Observation, Rivals, Statistic
from lightning_saliency.targets import Target


@dataclass(frozen=True)
class Reading:
    """One quantity: a statistic of the gradients at some points, with respect to the input or a layer's output.

    A layer that is given by its path alone is read at its last call.

    Attributes:
        points: Where gradients are computed.
        statistic: The quantity that is computed from them.
        layer: Path of the layer, or `None` for the input.

    Example:
        >>> from lightning_saliency.extend import Mean, Noise
        >>> Reading(Noise(20, 0.15, 0), Mean()) == Reading(Noise(20, 0.15, 0), Mean())  # equal ones run once
        True
    """

    points: Points
    statistic: Statistic
    layer: LayerName | str | None = None

    def __post_init__(self) -> None:
        """Name the call of the layer."""
        if isinstance(self.layer, str):
            object.__setattr__(self, "layer", LayerName(self.layer))

    @property
    def place(self) -> LayerName | None:
        """The layer and its call."""
        return cast("LayerName | None", self.layer)


def read_streams(
    model: Model, images: Images, target: Target, readings: Iterable[Reading], max_batch_size: int
) -> Iterator[tuple[Images, dict[Reading, Any]]]:
    """Yield chunk after chunk of the images with the value of every reading.

    A pass holds at most `max_batch_size` inputs: a chunk of images, or several steps of a smaller one.
    """
    max_batch_size = chunk_size(images, max_batch_size)
    distinct = list(dict.fromkeys(readings))
    names = dict.fromkeys(reading.place for reading in distinct if reading.place is not None)
    recorder = Recorder(model, find_layers(model, images, names, target), max_batch_size)
    for chunk, chunk_target in zip(images.split(max_batch_size), target.split(max_batch_size), strict=True):
        values: dict[Reading, Any] = {}
        for points, group in _by_points(distinct):
            values |= _read(recorder, chunk, chunk_target, points, group)
        yield chunk, values


def read_points(
    points: Points,
    model: Model,
    images: Images,
    target: Target,
    statistics: tuple[Statistic, ...],
    max_batch_size: int,
) -> Iterator[tuple[Any, ...]]:
    """Yield, chunk after chunk of the images, the value of every statistic at some points.

    A pass holds no more inputs than there are images, because these may be a chunk of a larger batch.
    """
    readings = [Reading(points, statistic) for statistic in statistics]
    for _, values in read_streams(model, images, target, readings, min(max_batch_size, len(images))):
        yield tuple(values[reading] for reading in readings)


def observe(model: Model, inputs: Images, target: Target) -> Observation:
    """Return the target's values and their gradients at one point of every image, for paths chosen step by step."""
    recorder = Recorder(model, {}, len(inputs))
    _, observation = next(_backward(recorder, inputs, target, [Sample(inputs)], [Reading(Clean(), Mean())]))
    return observation


def _by_points(readings: list[Reading]) -> Iterator[tuple[Points, list[Reading]]]:
    kinds = list(dict.fromkeys(reading.points for reading in readings))
    ordered = sorted(readings, key=lambda reading: kinds.index(reading.points))
    for points, group in groupby(ordered, key=lambda reading: reading.points):
        yield points, list(group)


def _read(
    recorder: Recorder, images: Images, target: Target, points: Points, readings: list[Reading]
) -> dict[Reading, Any]:
    states: dict[Reading, Any] = dict.fromkeys(readings)
    stride = max(1, recorder.max_batch_size // len(images))
    points = points.prepared(recorder, images, target)
    for start in range(0, points.num_steps, stride):
        samples = [points.sample(images, step) for step in range(start, min(start + stride, points.num_steps))]
        for layer, observation in _backward(recorder, images, target, samples, readings):
            for reading in readings:
                if reading.place == layer and _reads(reading.statistic.rivals, observation.rival):
                    states[reading] = reading.statistic.update(states[reading], observation)
    return {reading: reading.statistic.value(state) for reading, state in states.items()}


def _reads(rivals: Rivals, rival: int) -> bool:
    return rival == 0 or rivals == "all" or (isinstance(rivals, int) and rival <= rivals)


def _backward(
    recorder: Recorder, images: Images, target: Target, samples: list[Sample], readings: list[Reading]
) -> Iterator[tuple[LayerName | None, Observation]]:
    """Run one forward of all samples together, then one backward for the target and for every rival that is read."""
    let_interrupts_in()
    names = dict.fromkeys(reading.place for reading in readings)
    # Where only layers are read, what comes before them needs no graph.
    inputs = torch.cat([sample.inputs.detach() for sample in samples]).requires_grad_(None in names)
    layers = [name for name in names if name is not None]
    # The network gets a copy, because in-place operations are refused on what gradients are taken of.
    with recorder.recording(inputs, layers, _replacements(samples)) as outputs, samples[0].around():
        # Rules for what flows back apply to the target's own operations as well.
        values = _values(recorder.model(inputs.clone()), target.repeat(len(samples)), readings)
    tensors = {name: inputs if name is None else outputs[name] for name in names}
    for rival, value in enumerate(values):
        gradients = _gradients(value, list(tensors.values()), retain_graph=rival < len(values) - 1)
        for (name, tensor), gradient in zip(tensors.items(), gradients, strict=True):
            for index, sample in enumerate(samples):
                part = slice(index * len(images), (index + 1) * len(images))
                observation = Observation(
                    gradient=_readable(gradient[part], name, images),
                    activation=_readable(tensor[part], name, images),
                    score=values[0][part].detach(),
                    weight=sample.weight,
                    direction=_direction(sample, images),
                    rival=rival,
                )
                yield name, observation


def _replacements(samples: list[Sample]) -> dict[LayerName, Tensor]:
    layer = samples[0].layer
    replacements = [sample.replacement for sample in samples if sample.replacement is not None]
    return {} if layer is None or not replacements else {layer: torch.cat(replacements)}


def _direction(sample: Sample, images: Images) -> Tensor | None:
    if sample.direction is None or sample.layer is None:
        return sample.direction
    return _readable(sample.direction, sample.layer, images)


def _values(output: Any, target: Target, readings: list[Reading]) -> list[Scores]:
    """List what gets a backward each: the target's values, then those of its rivals."""
    value = target.value(output)
    counts = {reading.statistic.rivals for reading in readings} - {None}
    if not counts:
        return [value]
    count = None if "all" in counts else max(count for count in counts if isinstance(count, int))
    return [value, *target.rivals(output, count).unbind(dim=1)]


def _gradients(value: Scores, tensors: list[Tensor], *, retain_graph: bool) -> list[Tensor]:
    gradients: tuple[Tensor | None, ...] = (None,)
    if value.requires_grad:
        gradients = torch.autograd.grad(value.sum(), tensors, retain_graph=retain_graph, allow_unused=True)
    connected = [gradient for gradient in gradients if gradient is not None]
    if len(connected) < len(tensors):
        raise UnsuitableModelError(
            "Expected a differentiable path from the images (or the layer) to the logits, but there is none: "
            "look for `detach`, `no_grad`, `argmax` or a layer off the path.  Compute the logits without these, in a "
            "monitor by `model`, a function of the module and images, or use a method of forwards only, such as "
            "`ScoreCAM`."
        )
    return connected


def _readable(tensor: Tensor, layer: LayerName | None, images: Images) -> Tensor:
    """Lay out, cut from the graph, and widen half precision, in which statistics lose their digits."""
    laid_out = tensor if layer is None else as_grid(tensor, images)
    detached = laid_out.detach()
    return detached if detached.dtype == torch.float64 else detached.float()
