"""Score the maps of several methods by several metrics, chunk after chunk: the one driver of all scores."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from lightning_saliency._checks import check_choice, check_images, check_integer, check_maps, check_masks, plain_tensor
from lightning_saliency._model import explaining
from lightning_saliency._saliency_method import as_method, target_of
from lightning_saliency._types import Maps, Model
from lightning_saliency.passes._normalize import flattened
from lightning_saliency.passes.chunks import chunk_size
from lightning_saliency.passes.precision import PRECISIONS, ScoringPrecision, in_precision
from lightning_saliency.passes.predictions import Predictor
from lightning_saliency.passes.trials import ExplainAgain, Measured, Trial
from lightning_saliency.targets import Offer, Target, as_target


class Measures(Protocol):
    """A description of how a batch of maps is scored."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The arguments that `measure` needs besides images, maps and targets: `"methods"`, `"masks"`."""

    @property
    def reads(self) -> tuple[Offer, ...]:
        """The ability that the target must have."""

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""


def measure(
    model: Model,
    images: Any,
    maps: Mapping[str, Any],
    targets: Any,
    metrics: Mapping[str, Measures],
    *,
    methods: Mapping[str, Callable[..., Maps]] | None = None,
    explain_again: ExplainAgain | None = None,
    masks: Any = None,
    max_batch_size: Any = 64,
    scoring_precision: ScoringPrecision = "exact",
) -> dict[str, dict[str, Measured]]:
    """Borrow the model and score maps; equal changes of images are predicted once.

    A caller's tensors are checked here: only after this are they what their names say.

    Raises:
        TypeError: If an argument is not of the kind expected.
        ValueError: If shapes disagree, maps are not finite, a metric lacks what it needs, or a prediction shows that a
            target is no class.
    """
    check_choice("scoring_precision", scoring_precision, PRECISIONS)
    check_integer("max_batch_size", max_batch_size, minimum=1)
    check_images(images)
    images = plain_tensor(images)
    target = as_target(targets, len(images)).to(images.device)
    size = chunk_size(images, max_batch_size)
    if not target.is_complete:
        with explaining(model):
            target = target_of(model, images, target, size)
    _check_metrics(metrics, target, {"methods": methods, "masks": masks})
    for name, method_maps in maps.items():
        check_maps(name, method_maps, images)
    _check_finite(maps, images.device)
    if masks is not None:
        check_masks(masks, images)
    maps = {name: flattened(_in_floating_point(plain_tensor(method_maps))) for name, method_maps in maps.items()}
    explainers = {name: as_method(method, name) for name, method in (methods or {}).items()}
    parts: dict[str, dict[str, list[Measured]]] = {method: {metric: [] for metric in metrics} for method in maps}
    with explaining(model), torch.no_grad():
        for precision, group in _by_precision(metrics, scoring_precision).items():
            forward = in_precision(model, images, precision)
            for start, chunk_target in zip(range(0, len(images), size), target.split(size), strict=True):
                part = slice(start, start + size)
                is_first = start == 0  # what one chunk shows of the model holds for the others
                predict = Predictor(model, images[part], chunk_target, size, forward, reads_probabilities=is_first)
                trial_of = partial(
                    Trial,
                    predict=predict,
                    masks=None if masks is None else masks[part],
                    all_maps={name: method_maps[part] for name, method_maps in maps.items()},
                    explain_again=explain_again,
                    start=start,
                )
                for name in maps:
                    trial = trial_of(name, maps[name][part], method=explainers.get(name))
                    for metric_name, metric in group.items():
                        parts[name][metric_name].append(metric.measure(trial))
    return {method: {metric: _joined(chunks) for metric, chunks in row.items()} for method, row in parts.items()}


def _by_precision(
    metrics: Mapping[str, Measures], precision: ScoringPrecision
) -> dict[ScoringPrecision, dict[str, Measures]]:
    """Group metrics by how they predict: those that explain again compare with exact gradients."""
    groups: dict[ScoringPrecision, dict[str, Measures]] = {}
    for name, metric in metrics.items():
        groups.setdefault("exact" if "methods" in metric.needs else precision, {})[name] = metric
    return groups


def _check_metrics(metrics: Mapping[str, Measures], target: Target, value: Mapping[str, object]) -> None:
    for name, metric in metrics.items():
        for need in metric.needs:
            if value[need] is None:
                raise ValueError(f"Expected `{need}` for metric {name!r}, but got None: pass them, or leave it out.")
        for offer in metric.reads:
            target.require(offer, name)


def _joined(parts: list[Measured]) -> Measured:
    curves = [part.curves for part in parts if part.curves is not None]
    return Measured(torch.cat([part.scores for part in parts]), torch.cat(curves) if curves else None)


def _in_floating_point(maps: Tensor) -> Maps:
    """Widen integers, booleans and half precision, in which scores would be rounded away."""
    return maps if maps.dtype == torch.float64 else maps.float()


def _check_finite(maps: Mapping[str, Tensor], device: torch.device) -> None:
    """Refuse maps with NaN or infinity. The device is asked once for all methods."""
    flags = [torch.isfinite(method_maps).all().to(device) for method_maps in maps.values()]
    for (name, method_maps), is_finite in zip(maps.items(), torch.stack(flags).tolist() if flags else [], strict=True):
        if not is_finite:
            bad = (~torch.isfinite(method_maps.flatten(1)).all(dim=1)).nonzero().flatten().tolist()
            raise ValueError(
                f"Expected the maps of {name!r} to be finite, but got NaN or infinity in {len(bad)} of "
                f"{len(method_maps)} maps, the first at index {bad[0]}: leave those images out."
            )
