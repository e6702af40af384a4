"""Explain and score a share of the images, batch by batch."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from lightning_saliency._checks import check_classes, check_targets
from lightning_saliency._model import logits_of
from lightning_saliency._types import Images, Logits, Maps, Masks, Targets
from lightning_saliency.callbacks._batches import LabelledImages, are_classes
from lightning_saliency.callbacks._compact import compact
from lightning_saliency.callbacks._findings import Findings
from lightning_saliency.evaluation import explain, measure
from lightning_saliency.methods import Method
from lightning_saliency.metrics import ExplanationMetric
from lightning_saliency.passes.normalization import Normalization
from lightning_saliency.passes.precision import ScoringPrecision
from lightning_saliency.targets import Activation, ClassLogit
from lightning_saliency.visualization import displayable

# Functions are not described more closely, since configuration tools would refuse those without equal annotations.
TargetChoice: TypeAlias = Literal["label", "predicted"] | int | Callable[..., Any] | None


class Portrait(NamedTuple):
    """An image as it is shown, (3, H, W) uint8, with lines of text."""

    image: Tensor
    caption: list[str]


@dataclass(frozen=True)
class Task:
    """What to compute for every image.

    Attributes:
        methods: Methods by name.
        metrics: Metrics by name, told about the colours.
        target: Which class to explain.
        min_confidence: Least probability of the target for an image to be used.
        activation: How logits become probabilities.
        max_batch_size: Most images in one pass.
        colours: How to get back to raw pixels for pictures.
        controls: Names of the methods that are controls, and never drawn.
        class_names: Names for captions.
        scoring_precision: How changed images are predicted.
    """

    methods: Mapping[str, Method]
    metrics: Mapping[str, ExplanationMetric]
    target: TargetChoice
    min_confidence: float
    activation: Activation
    max_batch_size: int
    colours: Normalization | None
    controls: frozenset[str]
    class_names: list[str] | None
    scoring_precision: ScoringPrecision = "exact"


class _Batch(NamedTuple):
    indices: list[int]
    images: Images
    labels: Tensor | None
    masks: Masks | None
    targets: Targets
    logits: Logits

    def chosen(self, some: Tensor) -> set[int]:
        """Name the images for which something holds."""
        return {self.indices[row] for row in some.nonzero().flatten().tolist()}

    def where(self, keep: Tensor) -> "_Batch":
        """Take the images that are to be kept."""
        rows = keep.nonzero().flatten()
        chosen = [self.indices[row] for row in rows.tolist()]
        labels = None if self.labels is None else self.labels[rows]
        masks = None if self.masks is None else self.masks[rows]
        return _Batch(chosen, self.images[rows], labels, masks, self.targets[rows], self.logits[rows])


@dataclass
class Evaluated:
    """What a process found, and what only it needs to draw it.

    Attributes:
        findings: Results, to be put together with those of other processes.
        portraits: The images as they are drawn, by index.
        panels: Indices of the images that are always drawn.
    """

    findings: Findings = field(default_factory=Findings)
    portraits: dict[int, Portrait] = field(default_factory=dict)
    panels: list[int] = field(default_factory=list)


def evaluate(network: nn.Module, batches: Iterable[LabelledImages], task: Task) -> Evaluated:
    """Explain and score; the network is borrowed by the caller."""
    evaluated = Evaluated()
    for indices, images, labels, masks in batches:
        evaluated.findings.seen |= set(indices)
        with torch.no_grad():
            logits = logits_of(network, images.clone())
        targets = choose_targets(task.target, logits, labels)
        batch = _Batch(indices, images, labels, masks, targets, logits)
        if task.min_confidence > 0:
            confidence = ClassLogit(targets).probability(logits, task.activation)
            batch = batch.where(confidence >= task.min_confidence)
        if batch.indices:
            _evaluate_batch(network, batch, task, evaluated)
    return evaluated


def choose_targets(choice: TargetChoice, logits: Logits, labels: Tensor | None) -> Targets:
    """Return the classes to explain.

    Raises:
        ValueError: If labels are wanted and there are none, or a target is not a class of the model.
    """
    if choice == "label" and labels is None:
        raise ValueError(
            "Expected labels in the batch for `target` 'label', but got none: pass 'predicted' or `batch`."
        )
    targets: Tensor
    if callable(choice):
        targets = choice(logits, labels)
        check_targets(targets, len(logits))
    elif isinstance(choice, int):
        targets = torch.full((len(logits),), choice, device=logits.device)
    elif choice == "predicted" or labels is None:
        targets = logits.argmax(dim=1)
    elif are_classes(labels):
        targets = labels
    else:
        raise ValueError(
            f"Expected labels to be one class for each of {len(logits)} images, but got {labels.dtype} of shape "
            f"{tuple(labels.shape)}: pass `target` 'predicted', a class, or a function of logits and labels."
        )
    check_classes(targets, logits.shape[1])
    return targets.to(logits.device, torch.int64)


def _evaluate_batch(network: nn.Module, batch: _Batch, task: Task, evaluated: Evaluated) -> None:
    findings = evaluated.findings
    findings.used |= set(batch.indices)
    maps = explain(network, batch.images, batch.targets, task.methods, task.max_batch_size)
    valid = {name: torch.isfinite(found.flatten(1)).all(dim=1) for name, found in maps.items()}
    # A map that cannot be scored is scored as a blank one beside the others, and its score thrown away.
    maps = {name: torch.where(_beside(valid[name], found), found, 0.0) for name, found in maps.items()}
    for name, found in maps.items():
        flat = found.flatten(1)
        findings.invalid[name] |= batch.chosen(~valid[name])
        findings.blank[name] |= batch.chosen(valid[name] & (flat.amax(dim=1) == flat.amin(dim=1)))
        if name not in task.controls:
            findings.add_maps(name, batch.indices, compact(found), valid[name])
    if task.metrics:
        measured = measure(
            network,
            batch.images,
            maps,
            batch.targets,
            task.metrics,
            methods=task.methods,
            masks=batch.masks,
            max_batch_size=task.max_batch_size,
            scoring_precision=task.scoring_precision,
        )
        for method, row in measured.items():
            for metric, scored in row.items():
                findings.add_scores((method, metric), batch.indices, scored, valid[method])
    predicted = batch.logits.argmax(dim=1).tolist()
    findings.classes |= dict(zip(batch.indices, zip(batch.targets.tolist(), predicted, strict=True), strict=True))
    evaluated.portraits |= _portraits(batch, task)


def _portraits(batch: _Batch, task: Task) -> dict[int, Portrait]:
    """Keep the images as they can be shown; what is no picture is not drawn."""
    if batch.images.ndim != 4:
        return {}
    raw = (task.colours.to_raw(batch.images) if task.colours else batch.images).float().cpu()
    captions = _captions(batch, task)
    return {
        index: Portrait((displayable(image) * 255).round().to(torch.uint8), caption)
        for index, image, caption in zip(batch.indices, raw, captions, strict=True)
    }


def _captions(batch: _Batch, task: Task) -> list[list[str]]:
    """Write for each image its index, and its true, predicted and explained class with their probabilities."""
    names = task.class_names
    roles = {"predicted": batch.logits.argmax(dim=1)}
    if are_classes(batch.labels):
        roles = {"true": batch.labels, **roles}
    if not any(torch.equal(batch.targets, classes) for classes in roles.values()):
        roles["explained"] = batch.targets
    probabilities = {
        role: ClassLogit(classes).probability(batch.logits, task.activation) for role, classes in roles.items()
    }
    captions = []
    for row, index in enumerate(batch.indices):
        lines = [f"image {index}"]
        for role, classes in roles.items():
            label = int(classes[row])
            name = names[label] if names and label < len(names) else str(label)
            lines.append(f"{role} {name} ({probabilities[role][row]:.2f})")
        captions.append(lines)
    return captions


def _beside(per_image: Tensor, maps: Maps) -> Tensor:
    return per_image.reshape(-1, *[1] * (maps.ndim - 1))
