"""A look at the outputs of the first images: are they logits of the classes that the data have?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lightning_saliency.metrics import ExplanationMetric
from lightning_saliency.monitor._extras import with_extras
from lightning_saliency.monitor.batches import LabelledImages, are_classes
from lightning_saliency.monitor.discovery import TargetChoice, call_network, choose_targets
from lightning_saliency.passes.heads import REMEDIES, AsLogits, Ending, calls_noted, probabilities_of
from lightning_saliency.targets import Activation, Target, class_logits


@dataclass(frozen=True)
class Head:
    """The end of a network as the first images have shown it.

    Attributes:
        network: The network, with logits for its output.
        activation: The function that ends the network itself and makes probabilities; `None` where it returns logits.
        notes: Messages for the user, by a key that lets each be said once.
        has_classes: Whether the output is logits of classes.
    """

    network: nn.Module
    activation: Activation | None = None
    notes: dict[str, str] = field(default_factory=dict)
    has_classes: bool = True


def look_at_head(
    network: nn.Module,
    module: nn.Module,
    batch: LabelledImages,
    num_classes: int | None,
    choice: TargetChoice,
    max_batch_size: int,
) -> Head:
    """Predict some images, to turn probabilities back to logits and to refuse features.

    Args:
        network: The network from images to logits.
        module: The module that the network is a part of.
        batch: Images (B, C, *S) and their labels.
        num_classes: How many classes the data or the module declare; `None` where they declare none.
        choice: The argument `target`. Nothing is read from outputs that it does not take for logits of classes.
        max_batch_size: Most images in one pass.

    Raises:
        TypeError: If the output is not a tensor.
        ValueError: If it does not have a row for each image, or is one of features.
    """
    outputs, is_linear, is_sigmoid = list[Tensor](), True, True
    with torch.no_grad(), calls_noted(_heads(module, num_classes)) as unused:
        for start in range(0, len(batch.images), max_batch_size):
            part = slice(start, start + max_batch_size)
            supplied = with_extras(network, tuple(extra[part] for extra in batch.extras))
            with Ending() as ending:
                output = call_network(supplied, batch.images[part])
            if not _reads_classes(choice, output, None if batch.labels is None else batch.labels[part]):
                return Head(network, has_classes=False)
            class_logits(output, len(batch.images[part]))  # refuses what is none
            outputs.append(output)
            is_linear, is_sigmoid = is_linear and ending.is_linear(output), is_sigmoid and ending.is_sigmoid(output)
    activation = probabilities_of(torch.cat(outputs), is_sigmoid=is_sigmoid and len(batch.images) > 1)
    is_head = is_linear or activation is not None or _are_log_probabilities(outputs[0])
    notes = _check_number(outputs[0], batch.labels, num_classes, is_linear=is_head, unused=unused())
    if activation is None:
        return Head(network, notes=notes)
    note = (
        f"The network returns probabilities, those of a {activation}. They are turned back to logits, so that scores "
        f"are right and logits are explained. Pass `output={REMEDIES[activation]}` to do the same without this "
        f"warning, or `model`, a part without the {activation}."
    )
    return Head(AsLogits(network, activation), activation, {**notes, "head": note})


def _are_log_probabilities(output: Tensor) -> bool:
    """Whether exponentials sum to one for each image, as after a log-softmax, which features do not."""
    return bool((output.float().logsumexp(dim=1).abs() < 1e-3).all())


def _reads_classes(choice: TargetChoice, output: Any, labels: Tensor | None) -> bool:
    """Whether what is explained is that of one or several classes, each with a logit an image."""
    if not (callable(choice) or isinstance(choice, Target)):
        return True
    target = choose_targets(choice, output, labels)
    return not isinstance(target, Target) or ("classes" in target.offers and getattr(output, "ndim", 0) == 2)


def num_classes_of(module: Any, class_names: list[str] | None) -> int | None:
    """Return how many classes the data set names, or the module declares as `num_classes`."""
    number = len(class_names) if class_names else getattr(module, "num_classes", None)
    return number if isinstance(number, int) and number > 1 else None


def with_activation(
    metrics: Mapping[str, ExplanationMetric], labels: Tensor | None, head: Activation | None, *, are_default: bool
) -> tuple[Mapping[str, ExplanationMetric], dict[str, str]]:
    """Read probabilities of each class by itself where labels have several classes, or the network ends so.

    Returns:
        The metrics, changed if they are the default ones, and notes for the user.
    """
    if head != "sigmoid" and not are_multi_hot(labels):
        return metrics, {}
    softmax = [name for name, metric in metrics.items() if getattr(metric, "activation", None) == "softmax"]
    if are_default:
        changed = {name: metric.with_activation("sigmoid") for name, metric in metrics.items()}
        return changed, {}
    note = (
        f"Several classes may hold for an image, but metrics {softmax} read the probabilities of a softmax, as if one "
        'class excluded the others. Pass `activation="sigmoid"` to them.'
    )
    is_certain = head == "sigmoid" or (labels is not None and bool((labels.sum(dim=1) != 1).any()))
    return metrics, {"activation": note} if softmax and is_certain else {}


def are_multi_hot(labels: Tensor | None) -> bool:
    """Whether labels (B, K) mark classes one by one, as of images with several; these may have one class each."""
    if labels is None or labels.ndim != 2 or labels.shape[1] < 2:
        return False
    return bool(((labels == 0) | (labels == 1)).all())


def _heads(module: nn.Module, num_classes: int | None) -> list[nn.Module]:
    if num_classes is None:
        return []
    return [part for part in module.modules() if getattr(part, "out_features", None) == num_classes]


def _check_number(
    output: Tensor, labels: Tensor | None, num_classes: int | None, *, is_linear: bool, unused: list[nn.Module]
) -> dict[str, str]:
    """Refuse features: more outputs than classes, which no linear layer made, or beside a head that did not run.

    A network with more outputs than the data have classes is usual in fine-tuning, so that alone is only said.
    """
    outputs = output.shape[1]
    # One output more is that of the background.
    if num_classes is None or outputs <= num_classes + 1 or _have_other_classes(labels, num_classes):
        return {}
    if unused or not is_linear:
        head = f", while a layer with {num_classes} outputs does not run" if unused else ""
        raise ValueError(
            f"Expected logits of the data's {num_classes} classes, but got {outputs} outputs, which seem to be "
            f"features{head}: pass `model` or `output`, the path or function that returns logits."
        )
    note = (
        f"The network has {outputs} outputs and the data have {num_classes} classes. Scores are those of classes among "
        "all outputs. Pass `model` or `output` if logits are elsewhere."
    )
    return {"classes": note}


def _have_other_classes(labels: Tensor | None, num_classes: int) -> bool:
    """Whether labels do not count the classes that the data name, as for some of ImageNet's classes."""
    return are_classes(labels) and bool((labels >= num_classes).any())
