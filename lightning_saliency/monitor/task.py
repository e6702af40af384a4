"""The task for every image, and the images of one batch with their target."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from lightning_saliency._types import Images, Logits, Masks
from lightning_saliency.methods import Method
from lightning_saliency.metrics import ExplanationMetric
from lightning_saliency.monitor._display import Display
from lightning_saliency.monitor.discovery import TargetChoice
from lightning_saliency.monitor.transplants import Transplants
from lightning_saliency.passes.normalization import Normalization
from lightning_saliency.passes.precision import ScoringPrecision
from lightning_saliency.targets import Activation, Target


@dataclass(frozen=True)
class Task:
    """What to compute for every image.

    Attributes:
        methods: Methods by name.
        metrics: Metrics by name, told about the colours.
        metrics_are_default: Whether to leave out those that need what the target does not have.
        target: The target, or how to choose it.
        min_confidence: Least probability of the target for an image to be used.
        activation: How logits become probabilities.
        max_batch_size: Most images in one pass.
        normalization: How to get back to raw pixels for pictures.
        controls: Names of the methods that are controls, and never drawn.
        class_names: Names of the classes, where the data set has them.
        scoring_precision: How changed images are predicted.
        transplants: Cues that are put into hosts, if there are any.
        methods_are_default: Whether methods that cannot explain the network are left out.
    """

    methods: Mapping[str, Method]
    metrics: Mapping[str, ExplanationMetric]
    metrics_are_default: bool
    target: TargetChoice
    min_confidence: float
    activation: Activation
    max_batch_size: int
    normalization: Normalization | None
    controls: frozenset[str]
    class_names: list[str] | None
    scoring_precision: ScoringPrecision = "exact"
    transplants: Transplants | None = None
    methods_are_default: bool = False
    display: Display = None


class Batch(NamedTuple):
    """Images on the device, with what is explained of them, and the logits where there are any."""

    indices: list[int]
    images: Images
    labels: Tensor | None
    masks: Masks | None
    target: Target
    logits: Logits | None

    def where(self, keep: Tensor) -> "Batch":
        """Take the images that are to be kept."""
        rows = keep.nonzero().flatten()
        indices = [self.indices[row] for row in rows.tolist()]
        labels = None if self.labels is None else self.labels[rows]
        masks = None if self.masks is None else self.masks[rows]
        logits = None if self.logits is None else self.logits[rows]
        return Batch(indices, self.images[rows], labels, masks, self.target.take(rows), logits)


def names_of(batch: Batch, task: Task) -> dict[int, str]:
    """Name the classes of the network's output by number; nothing where the data have another number of classes."""
    names = task.class_names or []
    is_of_output = batch.logits is not None and len(names) == batch.logits.shape[1]
    return dict(enumerate(names)) if is_of_output else {}
