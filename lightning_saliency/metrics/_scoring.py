"""Score the maps of one method by one metric, chunk after chunk."""

from collections.abc import Callable, Mapping
from typing import Protocol

import torch

from lightning_saliency._types import Images, Maps, Masks, Model, Scores, Targets
from lightning_saliency.passes.trials import Measured, Trial, visit_trials


class Measures(Protocol):
    """What says how a batch of maps is scored."""

    name: str
    needs: tuple[str, ...]

    def measure(self, trial: Trial) -> Measured:
        """Score one batch of maps."""


def measure_all(
    metric: Measures,
    model: Model,
    images: Images,
    maps: Maps,
    targets: Targets,
    *,
    masks: Masks | None = None,
    method: Callable[..., Maps] | None = None,
    max_batch_size: int = 64,
) -> list[Measured]:
    """Measure the maps of one method.

    Raises:
        ValueError: If the metric needs masks or the method, and they are missing.
    """
    for need, argument, given in (("masks", "masks", masks), ("methods", "method", method)):
        if need in metric.needs and given is None:
            raise ValueError(f"Expected `{argument}` for metric {metric.name!r}, but got None: pass it.")
    found: list[Measured] = []

    def explain_again(images: Images, targets: Targets) -> Mapping[str, Maps]:
        with torch.enable_grad():
            return {} if method is None else {"maps": method(model, images, targets)}

    def visit(trials: list[Trial]) -> None:
        found.append(metric.measure(trials[0]))

    visit_trials(
        model,
        images,
        {"maps": maps},
        targets,
        visit,
        methods=None if method is None else {"maps": method},
        explain_again=explain_again,
        masks=masks,
        max_batch_size=max_batch_size,
    )
    return found


def scores_of(
    metric: Measures,
    model: Model,
    images: Images,
    maps: Maps,
    targets: Targets,
    *,
    masks: Masks | None = None,
    method: Callable[..., Maps] | None = None,
    max_batch_size: int = 64,
) -> Scores:
    """Score the maps of one method, one score per image."""
    measured = measure_all(
        metric, model, images, maps, targets, masks=masks, method=method, max_batch_size=max_batch_size
    )
    return torch.cat([part.scores for part in measured])
