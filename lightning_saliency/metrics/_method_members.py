"""What a metric may ask the method for: signed attributions, and the baselines that they are complete against."""

from typing import Any

import torch
from torch import Tensor

from lightning_saliency._types import Images
from lightning_saliency.passes.trials import Trial


def attribution_of(trial: Trial, **options: Any) -> Tensor | None:
    """Return the signed attributions of the trial's method, `None` if it has none."""
    method: Any = trial.method
    if not getattr(method, "has_attribution", hasattr(method, "attribute")):
        return None
    with torch.enable_grad():
        attribution: Tensor = method.attribute(trial.model, trial.images.clone(), trial.target.argument, **options)
    return attribution.detach()


def baselines_of(trial: Trial) -> tuple[Images, ...] | None:
    """Return the baselines of the trial's method, `None` if it promises no completeness."""
    method: Any = trial.method
    baselines: tuple[Images, ...] | None = method.baselines(trial.images) if hasattr(method, "baselines") else None
    return baselines
